# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments that kernel-install(8) gives to the entries of the Boot Loader Specification.

It takes those of the running kernel where no file has them: in the appliance, the appliance's.
Fedora's grub2 (20-grub.install) and openSUSE's sdbootutil do the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from xen2kvmd.guest.cmdline import KERNEL_INSTALL
from xen2kvmd.guest.menus import Menu, read_menu
from xen2kvmd.guest.programs import has
from xen2kvmd.guest.tree import Tree
from xen2kvmd.guest.uki import unified_images
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

_KEPT = (KERNEL_INSTALL, "/usr/lib/kernel/cmdline")


@rule(guide="")
def kernel_install_cmdline(guest: Tree, case: Case) -> Iterator[Finding]:
    """Write down the default entry's arguments where kernel-install would take the running ones.

    Debian's update-initramfs calls it, and runs in the appliance here: the entry would get the
    arguments of the appliance's kernel.
    """
    menu = read_menu(guest)
    if menu and menu.kind == "systemd-boot" and has(guest, "kernel-install"):
        _keep(guest, _arguments(guest, menu))
    yield from ()


@contextmanager
def own_arguments(guest: Tree) -> Iterator[None]:
    """Let the entries that packages make meanwhile have the default entry's arguments.

    The file for that is gone afterwards: a guest without one takes what its kernel was started
    with for the next one, so that it keeps what its administrator changes in the menu alone.
    """
    made = _keep(guest, _arguments(guest, read_menu(guest)))
    yield
    if made:
        guest.remove(KERNEL_INSTALL)


def _arguments(guest: Tree, menu: Menu | None) -> str:
    """Return the arguments of what starts by default, "" where no file of kernel-install's does."""
    if menu is None:
        return next((image.arguments for image in unified_images(guest)), "")
    of_files = menu.kind in ("bls", "systemd-boot")
    return menu.default.arguments if menu.default and of_files else ""


def _keep(guest: Tree, arguments: str) -> bool:
    """Write the file, if the guest has none; tell whether it was made."""
    if not arguments or any(map(guest.exists, _KEPT)):
        return False
    guest.write(KERNEL_INSTALL, f"{arguments}\n")
    return True
