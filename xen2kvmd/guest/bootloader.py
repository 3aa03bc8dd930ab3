# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the boot loader's configuration: device names, and the menu made anew."""

from collections.abc import Iterator
from functools import partial

from xen2kvmd.guest.cmdline import edit_defaults, edit_menus, menu_files
from xen2kvmd.guest.devices import remap_file, remap_text, unmapped
from xen2kvmd.guest.grub_menu import READERS
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.programs import has
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Firmware, Severity
from xen2kvmd.rule import rule

DEVICE_MAPS = ("/boot/grub/device.map", "/boot/grub2/device.map", "/boot/grub2-efi/device.map")

LILO = "/etc/lilo.conf"

# The first that the guest has makes its menu: a distribution's own way before the plain tool.
MENU_TOOLS = (
    ("update-grub", (), "/boot/grub/grub.cfg"),
    ("grub2-mkconfig", ("-o", "/boot/grub2/grub.cfg"), "/boot/grub2/grub.cfg"),
    ("grub-mkconfig", ("-o", "/boot/grub/grub.cfg"), "/boot/grub/grub.cfg"),
)


@rule(guide="15.2.3 (5)")
def device_map(guest: Tree, case: Case) -> Iterator[Finding]:
    """Name the disks in GRUB's device.map as KVM does."""
    for path in DEVICE_MAPS:
        yield from remap_file(guest, case, path)


@rule(guide="15.2.3 (4)")
def grub_defaults(guest: Tree, case: Case) -> Iterator[Finding]:
    """Name root, resume and other disks in GRUB's defaults as KVM does.

    In every GRUB_CMDLINE_LINUX variable and drop-in: each of them ends up in some menu entry.
    """
    edit_defaults(guest, partial(remap_text, case=case))
    for path in ("/etc/default/grub", *guest.glob("/etc/default/grub.d/*.cfg")):
        if guest.is_file(path):
            yield from unmapped(guest, case, path)


@rule(guide="15.2.3 (4)")
def boot_menu(guest: Tree, case: Case) -> Iterator[Finding]:
    """Name root, resume and other disks in the boot menu as KVM does.

    The menu is edited even where a tool makes it anew afterwards: entries written by hand, and a
    guest whose tool fails, boot all the same.
    """
    yield from edit_menus(guest, partial(remap_text, case=case))
    for path in menu_files(guest):
        yield from unmapped(guest, case, path)


@rule(guide="15.2.3 (6)")
def boot_menu_anew(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let the guest make its boot menu anew from its defaults.

    So the guest's own tools agree with what was edited before its next kernel update runs them.
    Those of a menu for another boot loader keep that: update-grub of GRUB legacy is one.
    """
    if case.facts.bootloader in READERS:
        return
    for tool, arguments, menu in MENU_TOOLS:
        if guest.is_file(menu) and has(guest, tool):
            yield from guest.attempt(
                tool,
                *arguments,
                failing=Finding(
                    "boot-menu-tool-failed",
                    f"The guest's menu, {menu}, stays as it was corrected by xen2kvm.",
                    Severity.WARNING,
                    hint=f"Find out in the new guest why {tool} fails: its next kernel needs it.",
                    place=menu,
                ),
            )
            break


@rule(guide="")
def lilo(guest: Tree, case: Case) -> Iterator[Finding]:
    """Tell of a guest that LILO starts.

    What its first sector loads lies at fixed places of the disk, and its root is a number, that of
    the disk's name under Xen (lilo.conf(5)): nothing that is written to files changes either.
    """
    facts = case.facts
    starts = facts.boot_code and facts.firmware is Firmware.BIOS and not case.direct
    if starts and guest.is_file(LILO) and read_menu(guest) is None:
        yield Finding(
            "lilo",
            f"LILO starts this guest ({LILO}), and would start the kernel and initrd that were "
            "there, with the root's name under Xen.",
            Severity.BLOCKER,
            hint="Install GRUB in the guest under Xen (grub-install, grub-mkconfig), and remove "
            f"{LILO}.",
            place=LILO,
        )
