# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the source's volumes have to become partitions of one disk.

Two kinds, and both are told before an appliance is started: volumes that Xen calls as it would call
partitions (xvda1 and xvda2, as xen-tools makes them), and the first disk of a guest that holds a
file system from its first sector on and nothing that a BIOS could start.

Other disks without a table, for data or swap, stay as they are: KVM needs no table on them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from xen2kvmd.domain.names import parse_name
from xen2kvmd.guest.devices import xen_order
from xen2kvmd.guest.partitions import SECTOR, Read, Table, has_boot_code, read_table
from xen2kvmd.model import SourceDisk
from xen2kvmd.system import assembly

HEAD = 0x11000  # bytes; btrfs' magic number is at 0x10040
SIGNATURES = ((1080, b"\x53\xef"), (0, b"XFSB"), (0x10040, b"_BHRfS_M"))  # ext2-4, xfs, btrfs
SWAP = (4086, b"SWAPSPACE2")  # mkswap(8): the last bytes of the first page

Head = Callable[[SourceDisk, int], bytes]  # returns the first bytes of a disk
Heads = Mapping[str, bytes]  # by the disk's dev
Group = tuple[str, Mapping[int, SourceDisk]]  # a disk, and what becomes its partitions


def assemble(disks: Sequence[SourceDisk], head: Head) -> tuple[SourceDisk, ...]:
    """Return the disks as the new guest will have them, put together where they must be."""
    heads = {disk.dev: head(disk, HEAD) for disk in disks if _possible(disk)}
    groups = dict(_groups(disks, heads)) or dict(_bare(disks, heads))
    used = {volume.dev for group in groups.values() for volume in group.values()}
    made = [_joined(name, group, heads) for name, group in groups.items()]
    rest = [disk for disk in disks if disk.dev not in used]
    return (
        tuple(sorted((*rest, *made), key=lambda disk: xen_order(disk.dev))) if made else (*disks,)
    )


def _groups(disks: Sequence[SourceDisk], heads: Heads) -> Iterator[Group]:
    """Yield the name of each disk that there is only as its partitions, and these by number.

    One that has a partition table of its own is no partition, whatever its name says. Disks of the
    same letter on different buses (hda1, xvda1) are the same to the guest: nobody can join these,
    nor those of different hosts.
    """
    for letter in sorted({parse_name(disk.dev)[1] for disk in disks}):
        here = {disk.dev: disk for disk in disks if parse_name(disk.dev)[1] == letter}
        names = {dev.rstrip("0123456789") for dev in here}
        numbers = {parse_name(dev)[2]: disk for dev, disk in here.items()}
        together = len(names) == 1 and len({disk.host for disk in here.values()}) == 1
        bare = all(dev in heads and not _table(heads[dev]).kind for dev in here)
        if together and min(numbers) > 0 and max(numbers) <= assembly.LAST and bare:
            yield names.pop(), dict(sorted(numbers.items()))


def _bare(disks: Sequence[SourceDisk], heads: Heads) -> Iterator[Group]:
    """Yield the disk that the guest starts from, if it is a file system that no BIOS can start.

    That is the first one with a partition table or a file system: what only pages, starts nothing.
    """
    for disk in sorted(disks, key=lambda disk: xen_order(disk.dev)):
        head = heads.get(disk.dev)
        if parse_name(disk.dev)[2] or head is None or _table(head).kind:
            return
        if has_boot_code(_reader(head), Table("")):
            return
        if any(head[at : at + len(magic)] == magic for at, magic in SIGNATURES):
            yield disk.dev, {1: disk}
            return


def _joined(name: str, volumes: Mapping[int, SourceDisk], heads: Heads) -> SourceDisk:
    paths = [(number, volume.dev, volume.path, volume.size) for number, volume in volumes.items()]
    swaps = {volume.dev for volume in volumes.values() if _is_swap(heads[volume.dev])}
    parts = assembly.lay_out(paths, swaps)
    allocated = sum(volume.allocated for volume in volumes.values())
    (host,) = {volume.host for volume in volumes.values()}
    return SourceDisk(name, "", "raw", assembly.size(parts), allocated, host, parts)


def _possible(disk: SourceDisk) -> bool:
    return disk.format == "raw" and (bool(disk.host) or assembly.can_name(disk.path))


def _table(head: bytes) -> Table:
    return read_table(_reader(head))


def _is_swap(head: bytes) -> bool:
    at, magic = SWAP
    return head[at : at + len(magic)] == magic


def _reader(head: bytes) -> Read:
    return lambda sector, count: head[sector * SECTOR : (sector + count) * SECTOR]
