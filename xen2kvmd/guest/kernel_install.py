# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for the arguments that kernel-install(8) gives to the entries of systemd-boot."""

from collections.abc import Iterator

from xen2kvmd.guest.cmdline import KERNEL_INSTALL
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.programs import has
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule


@rule(guide="")
def kernel_install_cmdline(guest: Tree, case: Case) -> Iterator[Finding]:
    """Write down the default entry's arguments where kernel-install would take the running ones.

    Debian's update-initramfs calls it, and runs in the appliance here: the entry would get the
    arguments of the appliance's kernel.
    """
    kept = (KERNEL_INSTALL, "/usr/lib/kernel/cmdline")
    menu = read_menu(guest)
    if menu is None or menu.kind != "systemd-boot" or menu.default is None:
        return
    if not has(guest, "kernel-install") or any(map(guest.exists, kept)):
        return
    if menu.default.arguments:
        guest.write(KERNEL_INSTALL, f"{menu.default.arguments}\n")
    yield from ()
