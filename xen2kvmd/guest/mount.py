# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the guest's root file system and mount it with all that its fstab adds."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from xen2kvmd.errors import Failed, Unsupported
from xen2kvmd.guest import luks
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.arrays import array_names
from xen2kvmd.guest.naming import appliance_name, disk_of, xen_name
from xen2kvmd.guest.partitions import EFI_SYSTEM

FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "reiserfs", "jfs", "vfat"})
ROOT_MARKS = ("/etc/fstab", "/etc/passwd")  # both in every root, neither in /boot or /home

# The default first, which is the active snapshot of SUSE; then where Ubuntu, Debian and Fedora put
# the root, with root= and fstab that name it and a default that stays the top.
SUBVOLUMES = ("", "subvol=@", "subvol=@rootfs", "subvol=root")
# Where systemd-gpt-auto-generator(8) and installers put an EFI system partition.
ESP_PLACES = ("/efi", "/boot/efi", "/boot")
TOP = 5  # the number of the subvolume that holds all others


@dataclass(frozen=True)
class FileSystem:
    """A file system or another content of a device, as blkid sees it."""

    device: str
    kind: str
    uuid: str = ""
    label: str = ""
    subvolume: str = ""  # of btrfs: "subvol=NAME", or "default" where that is not the top


@dataclass(frozen=True)
class Mounts:
    """What is mounted where: path to file system."""

    by_path: tuple[tuple[str, FileSystem], ...]

    @property
    def root(self) -> FileSystem:
        return dict(self.by_path)["/"]

    def holding(self, path: str) -> tuple[str, FileSystem]:
        """Return mount point and file system that a path lies on."""
        above = [
            (at, system)
            for at, system in self.by_path
            if at == "/" or path == at or path.startswith(f"{at}/")
        ]
        return max(above, key=lambda pair: len(pair[0]))


def mount_guest(appliance: Appliance) -> Mounts:
    """Mount the guest's file systems, its encrypted disks opened with the keys of the appliance.

    Raises Unsupported if no Linux root is on its disks, InvalidOption for a key that opens nothing.
    """
    encrypted = {s.device: s.uuid for s in file_systems(appliance) if s.kind == luks.KIND}
    opened = luks.unlock(appliance, encrypted)
    mounts = _mount(appliance)
    named = luks.as_the_guest_names(appliance, opened)
    if named == opened:
        return mounts
    appliance.call("umount_all")
    luks.rename(appliance, opened, named)
    return _mount(appliance)


def _mount(appliance: Appliance) -> Mounts:
    systems = tuple(file_systems(appliance))
    root = next(_roots(appliance, systems), None)
    if root is None:
        raise _no_root(appliance, systems)
    options = root.subvolume
    appliance.call("mount_options", options, root.device, "/")
    if root.kind == "btrfs" and not options:
        default = appliance.call("btrfs_subvolume_get_default", "/")
        root = replace(root, subvolume="" if default == TOP else "default")
    mounted = {"/": root}
    arrays = array_names(appliance)
    for spec, path, options in sorted(_fstab(appliance), key=lambda line: line[1]):
        system = _find(appliance, systems, arrays.get(spec, spec))
        if system and path not in mounted and system.kind in FILE_SYSTEMS:
            try:
                appliance.call("mount_options", options, system.device, path)
            except Failed:
                continue  # as at boot with nofail: what is needed and missing shows itself later
            mounted[path] = replace(system, subvolume=options)
    esp = _unnamed_esp(appliance, systems, {system.device for system in mounted.values()})
    place = next((path for path in ESP_PLACES if _is_free(appliance, path)), "")
    if esp and place:
        appliance.call("mount", esp.device, place)
        mounted[place] = esp
    return Mounts(tuple(mounted.items()))


def file_systems(appliance: Appliance) -> Iterator[FileSystem]:
    """Yield what is on partitions, on disks that have none, on volumes, arrays, opened disks."""
    partitions = appliance.partitions()
    whole = [disk for disk in appliance.devices if not _divided(disk, partitions)]
    kinds = ("lvs", "list_md_devices", "list_dm_devices")
    volumes = [device for kind in kinds for device in appliance.call(kind)]
    for device in (*partitions, *whole, *volumes):
        try:
            tags = appliance.call("blkid", device)
        except Failed:
            continue  # nothing that blkid knows
        yield FileSystem(
            device, tags.get("TYPE", ""), uuid=tags.get("UUID", ""), label=tags.get("LABEL", "")
        )


def _divided(disk: str, partitions: tuple[str, ...]) -> bool:
    return any(re.fullmatch(rf"{disk}\d+", name) for name in partitions)


def _roots(appliance: Appliance, systems: tuple[FileSystem, ...]) -> Iterator[FileSystem]:
    """Yield the file systems, or subvolumes of them, that hold a Linux root."""
    for system in systems:
        for subvolume in SUBVOLUMES if system.kind == "btrfs" else ("",):
            if _is_root(appliance, system, subvolume):
                yield replace(system, subvolume=subvolume)


def _unnamed_esp(
    appliance: Appliance, systems: tuple[FileSystem, ...], mounted: set[str]
) -> FileSystem | None:
    """Find the EFI system partition that systemd mounts by itself: fstab does not name it."""
    for system in systems:
        disk, number = disk_of(appliance, system.device)
        if system.kind != "vfat" or not number or system.device in mounted:
            continue
        with suppress(Failed):  # MBR has no types of GPT
            if appliance.call("part_get_gpt_type", disk, int(number)).upper() == EFI_SYSTEM:
                return system
    return None


def _is_free(appliance: Appliance, path: str) -> bool:
    """Tell whether a path is an empty folder."""
    with suppress(Failed):
        return not appliance.call("ls", path)
    return False


def _is_root(appliance: Appliance, system: FileSystem, subvolume: str) -> bool:
    if system.kind not in FILE_SYSTEMS:
        return False
    options = f"ro,{subvolume}" if subvolume else "ro"
    try:
        appliance.call("mount_options", options, system.device, "/")
    except Failed:
        return False
    try:
        return all(appliance.is_file(path) for path in ROOT_MARKS)
    finally:
        appliance.call("umount_all")


def _fstab(appliance: Appliance) -> Iterator[tuple[str, str, str]]:
    """Yield device, mount point and subvolume option of each line that names a folder.

    The root needs none: a btrfs mounted without one is its default subvolume, which is the active
    snapshot where snapper keeps some.
    """
    for line in appliance.read("/etc/fstab").splitlines():
        fields = line.split()
        if len(fields) >= 4 and not fields[0].startswith("#") and fields[1].startswith("/"):
            path = fields[1].rstrip("/")
            if path and ".." not in path and "bind" not in fields[3].split(","):
                subvolume = (word for word in fields[3].split(",") if word.startswith("subvol="))
                yield fields[0].replace('"', ""), path, next(subvolume, "")


def _find(appliance: Appliance, systems: tuple[FileSystem, ...], spec: str) -> FileSystem | None:
    """Find the file system that a line of fstab means, by UUID, label, or name under Xen."""
    tag, _, value = spec.partition("=")
    device = appliance_name(appliance, spec)
    for system in systems:
        if (tag, value) in (("UUID", system.uuid), ("LABEL", system.label)) and value:
            return system
        if system.device in (device, spec):
            return system
    return None


def _no_root(appliance: Appliance, systems: tuple[FileSystem, ...]) -> Unsupported:
    kinds = {system.kind for system in systems}
    locked = [xen_name(appliance, each.device) for each in systems if each.kind == luks.KIND]
    if locked and not appliance.keys:
        return Unsupported(
            f"The guest's disks are encrypted (LUKS): {', '.join(locked)}.",
            hint=f"Give the key: --key {locked[0]}:file:PATH (see xen2kvm(1)).",
        )
    if "ntfs" in kinds:
        return Unsupported(
            "The guest looks like Windows: there is NTFS and no Linux on its disks.",
            hint="virt-v2v can convert it: --engine auto. Was Windows shut down wholly?",
        )
    found = ", ".join(f"{system.device}: {system.kind or 'unknown'}" for system in systems)
    return Unsupported(
        f"No Linux system was found on the guest's disks ({found or 'they are empty'}).",
        hint="Does the domain XML name the right disks?",
    )
