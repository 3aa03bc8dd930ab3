# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenRC's services for login prompts (Alpine, Gentoo, Artix): agetty.hvc0, a link to agetty.

A service's name says its terminal; a link in a runlevel's folder starts it, and a file of its name
in conf.d has its settings (agetty-guide.md of OpenRC).
"""

import re

from xen2kvmd.guest.tree import Tree

_SCRIPTS, _SETTINGS, _RUNLEVELS = "/etc/init.d", "/etc/conf.d", "/etc/runlevels"
_DEFAULT = f"{_RUNLEVELS}/default"
_OF_XEN = re.compile(r"(\w*getty)\.[hx]vc([0-9]+)")
_TERMINAL = "ttyS0"


def is_started(guest: Tree) -> bool:
    """Tell whether a runlevel starts a login prompt on ttyS0."""
    return bool(guest.glob(f"{_RUNLEVELS}/*/*getty.{_TERMINAL}"))


def has_getty(guest: Tree) -> bool:
    """Tell whether a runlevel starts one on ttyS0, or on Xen's first console, which is moved."""
    return is_started(guest) or any(path.endswith("vc0") for path in of_xen(guest))


def of_xen(guest: Tree) -> tuple[str, ...]:
    """Return what starts login prompts on Xen's consoles: links in runlevels."""
    found = guest.glob(f"{_RUNLEVELS}/*/*getty.[hx]vc*")
    return tuple(path for path in found if _OF_XEN.fullmatch(path.rpartition("/")[2]))


def starts_first(guest: Tree) -> bool:
    """Tell whether OpenRC is init itself, and not started by one that reads inittab."""
    init = guest.read_link("/sbin/init")
    return init.endswith("/openrc-init") or init == "openrc-init"


def start(guest: Tree) -> bool:
    """Have a login prompt on ttyS0 from OpenRC; return whether there will be one."""
    if has_getty(guest):
        return True
    if not guest.exists(f"{_SCRIPTS}/agetty"):
        return False
    _link(guest, "agetty", "agetty", _DEFAULT)
    return True


def move(guest: Tree, started: str, *, taken: bool) -> None:
    """Start a login prompt on ttyS0 in place of one on Xen's first console, and none for others."""
    folder, _, name = started.rpartition("/")
    guest.remove(started)
    found = _OF_XEN.fullmatch(name)
    if taken or not found or found[2] != "0":
        return
    program, script, settings = found[1], f"{_SCRIPTS}/{name}", f"{_SETTINGS}/{name}"
    moved = f"{_SETTINGS}/{program}.{_TERMINAL}"
    if guest.is_file(settings) and not guest.exists(moved):
        guest.write(moved, re.sub(r"\b[hx]vc0\b", _TERMINAL, guest.read(settings)))
        guest.remove(settings)
    if target := guest.read_link(script):
        _link(guest, program, target, folder)
        guest.remove(script)
    elif guest.is_file(script):  # of the administrator's own, and executable
        _link(guest, program, name, folder)


def _link(guest: Tree, program: str, target: str, folder: str) -> None:
    script = f"{_SCRIPTS}/{program}.{_TERMINAL}"
    if not guest.exists(script):
        guest.link(script, target)
    guest.link(f"{folder}/{program}.{_TERMINAL}", script)
