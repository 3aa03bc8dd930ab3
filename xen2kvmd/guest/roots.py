# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the guest's file systems is its root, where more than one looks like it.

A disk for backups may hold an rsync of the root, a volume the system that was there before an
upgrade. A copy's fstab names the original; what has an fstab of its own is told by the boot menu.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from xen2kvmd.errors import Failed, InvalidOption, Unsupported
from xen2kvmd.guest import fstab
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.naming import appliance_name, xen_name

FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "reiserfs", "jfs", "vfat"})
ROOT_MARKS = ("/etc/fstab", "/etc/passwd")  # both in every root, neither in /boot or /home

# The default first, which is the active snapshot of SUSE; then where Ubuntu, Debian and Fedora put
# the root, with root= and fstab that name it and a default that stays the top.
SUBVOLUMES = ("", "subvol=@", "subvol=@rootfs", "subvol=root")
FIRST = "first"  # virt-v2v's word


def find_roots(appliance: Appliance, systems: Sequence[FileSystem]) -> tuple[FileSystem, ...]:
    """Return the file systems that hold a Linux root, the guest's own first; none is mounted.

    Raises InvalidOption where the one that was asked for is not among them.
    """
    found = tuple(_roots(appliance, systems))
    if appliance.root not in ("", FIRST) and found:
        wanted = appliance_name(appliance, appliance.root)
        if wanted not in (system.device for system in found):
            names = ", ".join(xen_name(appliance, system.device) for system in found)
            raise InvalidOption(
                f"There is no Linux root on {appliance.root}.", hint=f"The guest has: {names}."
            )
        return tuple(sorted(found, key=lambda system: system.device != wanted))
    if len(found) < 2 or appliance.root == FIRST:
        return found
    ranks = {system.device: _rank(appliance, systems, system) for system in found}
    return tuple(sorted(found, key=lambda system: ranks[system.device]))


def _roots(appliance: Appliance, systems: Sequence[FileSystem]) -> Iterator[FileSystem]:
    """Yield the file systems, or the first subvolumes of them, that hold a Linux root."""
    for system in systems:
        for subvolume in SUBVOLUMES if system.kind == "btrfs" else ("",):
            if _is_root(appliance, system, subvolume):
                yield replace(system, subvolume=subvolume)
                break


def _is_root(appliance: Appliance, system: FileSystem, subvolume: str) -> bool:
    if system.kind not in FILE_SYSTEMS:
        return False
    try:
        _mount(appliance, replace(system, subvolume=subvolume), "/")
    except Failed:
        return False
    try:
        return all(appliance.is_file(path) for path in ROOT_MARKS)
    finally:
        appliance.call("umount_all")


def _rank(
    appliance: Appliance, systems: Sequence[FileSystem], system: FileSystem
) -> tuple[bool, bool]:
    """Tell whether its own fstab, and its boot menu, mean another root."""
    try:
        _mount(appliance, system, "/")
        names = fstab.Names(appliance, systems)
        named = _named_by_fstab(appliance)
        boot = next((line for line in fstab.lines(appliance) if line.path == "/boot"), None)
        if boot and (place := names.find(boot.spec)) and place.kind in FILE_SYSTEMS:
            _mount(appliance, replace(place, subvolume=boot.subvolume), "/boot")
        meant = (names.find(named), names.find(_named_by_menu(appliance)))
    except (Failed, Unsupported):
        return True, True
    finally:
        appliance.call("umount_all")
    by_fstab, by_menu = (found is None or found.device != system.device for found in meant)
    return by_fstab, by_menu


def _named_by_fstab(appliance: Appliance) -> str:
    lines = (line.split() for line in appliance.read("/etc/fstab").splitlines())
    return next((words[0].replace('"', "") for words in lines if words[1:2] == ["/"]), "")


def _named_by_menu(appliance: Appliance) -> str:
    menu = read_menu(appliance)
    return menu.default.root if menu and menu.default else ""


def _mount(appliance: Appliance, system: FileSystem, path: str) -> None:
    options = f"ro,{system.subvolume}" if system.subvolume else "ro"
    appliance.call("mount_options", options, system.device, path)
