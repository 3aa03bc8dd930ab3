# SPDX-License-Identifier: GPL-2.0-or-later
"""How a GRUB that a BIOS started finds the file system with its menu.

The BIOS may show GRUB no other disk than the one that it started, so all of it has to lie there.
"""

import re
import shlex

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.naming import disk_of
from xen2kvmd.guest.partitions import Table

_LAYERS = frozenset({"lvm", "raid1", "part", "disk"})  # as lsblk(8) calls what GRUB can read
_SEGMENTS = frozenset({"linear", "striped"})  # of volumes: no snapshots, no thin ones
_SUBVOLUME = "subvol="


def menu_place(
    appliance: Appliance, table: Table, system: FileSystem, *, mounted_at: str, menu: str
) -> tuple[str, str]:
    """Return the device with the menu as GRUB names it, and the menu's folder on it.

    The device is "" where this host's GRUB could not read it. In a subvolume of btrfs it depends on
    who built the guest's GRUB whether the menu's paths begin in there (SUSE's btrfs_relative_path)
    or at the top, where ours begins.
    """
    folder = menu.rpartition("/")[0]
    inside = folder if mounted_at == "/" else folder.removeprefix(mounted_at)
    if not system.subvolume:
        return _device(appliance, table, system), inside
    top = system.subvolume.removeprefix(_SUBVOLUME).strip("/")
    text = appliance.read(menu) if appliance.is_file(menu) else ""
    paths = re.findall(r"^[ \t]*linux(?:16)?[ \t]+(\S+)", text, re.MULTILINE)
    if not paths or not all(path.startswith(f"/{top}/") for path in paths):
        return "", inside
    return _device(appliance, table, system), f"/{top}{inside}"


def _device(appliance: Appliance, table: Table, system: FileSystem) -> str:
    disk, number = disk_of(appliance, system.device)
    if number:
        return f"(,{table.kind}{number})" if table.kind else ""
    if system.device == disk:
        return ""
    try:
        return _layered(appliance, disk, system.device)
    except Failed:
        return ""


def _layered(appliance: Appliance, disk: str, device: str) -> str:
    """Name a logical volume or an array, if it is of a kind that GRUB reads, on the boot disk."""
    quoted = shlex.quote(device)
    lines = appliance.shell(f"lsblk --inverse --noheadings --list -o TYPE,KNAME {quoted}")
    layers = [line.split() for line in lines.splitlines()]
    kinds = {kind for kind, *_ in layers}
    disks = {f"/dev/{name}" for kind, name, *_ in layers if kind == "disk"}
    if not kinds <= _LAYERS or disk not in disks or (len(disks) > 1 and "raid1" not in kinds):
        return ""
    if layers[0][0] == "raid1":
        uuid = appliance.call("md_detail", device)["uuid"].replace(":", "")
        return f"(mduuid/{uuid})"
    segments = appliance.shell(f"lvm lvs --noheadings -o segtype {quoted}").split()
    group, _, volume = device.removeprefix("/dev/").partition("/")
    if layers[0][0] != "lvm" or not set(segments) <= _SEGMENTS:
        return ""
    return f"(lvm/{group.replace('-', '--')}-{volume.replace('-', '--')})"
