# SPDX-License-Identifier: GPL-2.0-or-later
"""Mount the guest's root file system and all that its fstab adds."""

from contextlib import suppress
from dataclasses import dataclass, replace

from xen2kvmd.errors import Failed, Unsupported
from xen2kvmd.guest import fstab, luks
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import FileSystem, file_systems
from xen2kvmd.guest.naming import disk_of, xen_name
from xen2kvmd.guest.partitions import EFI_SYSTEM
from xen2kvmd.guest.root_named import FILE_SYSTEMS
from xen2kvmd.guest.roots import find_roots, names_besides
from xen2kvmd.guest.subvolumes import TOP, is_read_only

SYSTEM = ("/boot", "/etc", "/lib", "/opt", "/usr", "/var")

# Where systemd-gpt-auto-generator(8) and installers put an EFI system partition.
ESP_PLACES = ("/efi", "/boot/efi", "/boot")


@dataclass(frozen=True)
class Mounts:
    """What is mounted where: path to file system.

    missing are folders of the system that fstab mounts and we could not, each with its device;
    subvolume is the path of the one with the root, of btrfs; other_roots are what else may be it,
    as they are asked for; read_only is a root that cannot be written to, whatever mount(8) is told.
    """

    by_path: tuple[tuple[str, FileSystem], ...]
    missing: tuple[tuple[str, str], ...] = ()
    subvolume: str = ""
    other_roots: tuple[str, ...] = ()
    read_only: bool = False

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
    roots = find_roots(appliance, systems)
    if not roots:
        raise _no_root(appliance, systems)
    root = roots[0].system
    options = root.subvolume
    appliance.call("mount_options", options, root.device, "/")
    if root.kind == "btrfs" and not options:
        default = appliance.call("btrfs_subvolume_get_default", "/")
        root = replace(root, subvolume="" if default == TOP else "default")
    if not roots[0].subvolume:  # the top, where another one is the default
        root = replace(root, subvolume="")
    read_only = root.kind == "btrfs" and is_read_only(appliance)
    mounted, missing = {"/": root}, []
    names = fstab.Names(appliance, systems)
    for line in sorted(fstab.lines(appliance), key=lambda line: line.path):
        system = names.find(line.spec)
        if line.path in mounted:
            continue
        if system and system.kind in FILE_SYSTEMS and _mounted(appliance, system, line):
            mounted[line.path] = replace(system, subvolume=line.subvolume)
        elif line.is_needed and _is_system(line.path):
            missing.append((line.path, line.spec))
    esp = _unnamed_esp(appliance, systems, {system.device for system in mounted.values()})
    place = next((path for path in ESP_PLACES if _is_free(appliance, path)), "")
    if esp and place:
        appliance.call("mount", esp.device, place)
        mounted[place] = esp
    return Mounts(
        tuple(mounted.items()),
        tuple(missing),
        subvolume=roots[0].subvolume,
        other_roots=names_besides(roots),
        read_only=read_only,
    )


def _mounted(appliance: Appliance, system: FileSystem, line: fstab.Line) -> bool:
    try:
        appliance.call("mount_options", line.subvolume, system.device, line.path)
    except Failed:
        return False  # as at boot with nofail: what is needed and missing shows itself later
    return True


def _is_system(path: str) -> bool:
    """Tell whether programs or files of the system lie in a folder."""
    return any(path == at or path.startswith(f"{at}/") for at in SYSTEM)


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
    found = ", ".join(
        f"{xen_name(appliance, system.device)}: {system.kind or 'unknown'}" for system in systems
    )
    return Unsupported(
        f"No Linux system was found on the guest's disks ({found or 'they are empty'}).",
        hint="Are these the right disks, and is none missing? xen2kvm itself converts Linux only. "
        "virt-v2v may know this system: --engine v2v; what it does not know, BSD for one, nothing "
        "here converts.",
    )
