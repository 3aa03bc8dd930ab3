# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of each disk the guest's file systems use: what they do not, a trim gives back.

So a volume of 500 GB with 20 GB in it needs no 500 GB where it is copied to, although nothing but
its file system tells.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from xen2kvmd.errors import Failed
from xen2kvmd.guest import luks
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import file_systems

# For each file system, and once for each device: its size, what is used, and what is under it.
LINE = (
    "df -B1 --output=source,size,used,target | while read -r device size used path; do "
    "case $path in /sysroot|/sysroot/*) "
    'echo "= $device $size $used"; lsblk -snrbo NAME,TYPE,SIZE "$device";; '
    "esac; done; true"
)
# What passes a trim on to its disk. Encryption does not, as libguestfs opens it; nor do arrays.
PASSES = ("disk", "part", "lvm")
NOT_MOUNTED = ("", "swap", "LVM2_member", "linux_raid_member", luks.KIND)


@dataclass(frozen=True)
class Usage:
    """Bytes of a disk that file systems use, and that they do not and give back."""

    used: int = 0
    unused: int = 0


@dataclass(frozen=True)
class _Below:
    """A device under a file system, from which the file system is down to a disk."""

    disk: str  # as the appliance calls it: vda
    size: int  # of the partition, or the disk, that is a part of it


def usage(appliance: Appliance) -> dict[str, Usage]:
    """Return what is known of each disk, by its <target dev>, of the file systems that are mounted.

    Where none is, virt-v2v converts the guest, and trims all that it can mount (its convert.ml):
    each is mounted for a moment.
    """
    texts = [appliance.shell(LINE)]
    if not appliance.call("mountpoints"):
        texts = [_alone(appliance, s.device) for s in file_systems(appliance) if _is_one(s.kind)]
    disks = {device.removeprefix("/dev/"): dev for device, dev in appliance.devices.items()}
    total = dict.fromkeys(disks.values(), Usage())
    for text in texts:
        for disk, found in read_usage(text):
            if dev := disks.get(disk):
                so_far = total[dev]
                total[dev] = Usage(so_far.used + found.used, so_far.unused + found.unused)
    return total


def _is_one(kind: str) -> bool:
    return kind not in NOT_MOUNTED


def _alone(appliance: Appliance, device: str) -> str:
    with suppress(Failed):  # no healthy file system: virt-v2v mounts it as little
        appliance.call("mount_ro", device, "/")
        try:
            return appliance.shell(LINE)
        finally:
            appliance.call("umount_all")
    return ""


def read_usage(text: str) -> Iterator[tuple[str, Usage]]:
    """Yield each disk that a file system lies on, and its share: by the size of what it gives.

    A volume that lies on another volume is thin, a mirror or has snapshots: what is unused there,
    its disks may have in use.
    """
    for block in re.split(r"^= ", text, flags=re.MULTILINE)[1:]:
        head, *rows = block.splitlines()
        _, size, used = head.rsplit(" ", 2)
        below = [(name, kind, int(size)) for name, kind, size in map(str.split, rows)]
        kinds = [kind for _, kind, _ in below]
        unused = min(int(size) - int(used), below[0][2] if below else 0)  # others of a btrfs
        if not set(kinds) <= set(PASSES) or kinds.count("lvm") > 1:
            unused = 0
        parts = tuple(_parts(below))
        whole = sum(part.size for part in parts)
        for part in parts:
            yield part.disk, Usage(_share(int(used), part, whole), _share(unused, part, whole))


def _parts(below: Iterable[tuple[str, str, int]]) -> Iterator[_Below]:
    """Yield what the lines of lsblk -s end in: each way goes down to a disk, which is its last."""
    first = None
    for name, kind, size in below:
        if first is None and kind in ("part", "disk"):
            first = size
        if kind == "disk":
            yield _Below(name, first or size)
            first = None


def _share(count: int, part: _Below, whole: int) -> int:
    return count * part.size // whole if whole else 0
