# SPDX-License-Identifier: GPL-2.0-or-later
"""Which program starts the guest's services: systemd, upstart, or another that reads inittab.

That systemd is there proves nothing: Debian's sysvinit-core leaves it installed, and so do others.
"""

import re
from posixpath import dirname, join, normpath

from xen2kvmd.guest.menus import readable_menu
from xen2kvmd.guest.tree import Tree

_INIT = "/sbin/init"  # what the kernel starts, if it is not told another (init=)
_TOLD = re.compile(r"(?<!\S)init=(\S+)")
_LINKS = 8  # as many as are followed: /etc/alternatives has one of its own
_SYSTEMD = ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")


def init_system(tree: Tree) -> str:
    """Return "systemd", "upstart", or "sysvinit" for all others."""
    program = _program(tree)
    if any(map(tree.exists, _SYSTEMD)) and (
        program.endswith("/systemd") or not tree.exists(program)
    ):
        return "systemd"
    return "upstart" if tree.exists("/sbin/initctl") else "sysvinit"


def _program(tree: Tree) -> str:
    """Return the path of what the kernel starts, links followed."""
    menu = readable_menu(tree)
    told = _TOLD.findall(menu.default.arguments) if menu and menu.default else []
    path: str = told[-1] if told and told[-1].startswith("/") else _INIT
    for _ in range(_LINKS):
        target = tree.read_link(path)
        if not target:
            break
        path = normpath(join(dirname(path), target))
    return path
