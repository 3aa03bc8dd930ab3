# SPDX-License-Identifier: GPL-2.0-or-later
"""One disk put together from volumes, without copying: a partition table, and each volume in it.

Of this host's volumes it is a VMDK of flat extents, a text file that lists pieces of other files,
so QEMU alone reads it: one more base under an overlay. No process, device mapper or loop device has
to live as long as the job, and after a crash it is written anew. The volumes are only read, and
never probed: an extent is read as it is, whatever a guest wrote into its first bytes. Those of
another host are read over ssh as all its disks are: reader() puts the same pieces together.
"""

import struct
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from xen2kvmd.model import Part, SourceDisk
from xen2kvmd.system import files

FORMAT = "vmdk"
SECTOR = 512
MIB = 1 << 20
LAST = 127  # the last number of a volume's partition; GPT has 128
BOOT = 128  # number of GPT's partition for boot code
LONGEST = 500  # bytes of a path that QEMU reads from an extent's line (block/vmdk.c: 511)
GUIDS = {  # UEFI specification, and systemd's discoverable partitions
    "boot": uuid.UUID("21686148-6449-6e6f-744e-656564454649"),
    "swap": uuid.UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
    "linux": uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4"),
}

TABLE = ""  # where an extent is no volume's, but the partition table's, or what pads
Extent = tuple[int, str, int]  # bytes, path or TABLE, offset there
Read = Callable[[int, int], bytes]  # offset and number of bytes


def can_name(path: str) -> bool:
    """Tell whether a list of extents can name this path: it has no way to quote."""
    return path.isprintable() and '"' not in path and len(path.encode()) <= LONGEST


def lay_out(
    volumes: Iterable[tuple[int, str, str, int]], swaps: Collection[str]
) -> tuple[Part, ...]:
    """Give each volume (number, dev, path, size) its place, aligned to MiB, with room before."""
    volumes = tuple(volumes)
    room = sum(_up(size, MIB) for *_, size in volumes)
    small = all(number <= 4 for number, *_ in volumes) and room < (1 << 32) * SECTOR - 4 * MIB
    at = MIB if small else 2 * MIB
    parts = []
    for number, dev, path, size in volumes:
        parts.append(Part(dev, path, number, at, _up(size, SECTOR), dev in swaps))
        at += _up(size, MIB)
    return tuple(parts)


def size(parts: Sequence[Part]) -> int:
    """Return the size of the disk; GPT has a copy of its table at the end."""
    end = max(_up(part.start + part.size, MIB) for part in parts)
    return end + MIB if _is_gpt(parts) else end


def make(folder: Path, disk: SourceDisk) -> Path:
    """Write what a disk needs beside its volumes; return the file for QEMU, of FORMAT."""
    table = folder / f"{disk.dev}.table"
    table.write_bytes(_table(disk))
    pieces = "".join(
        f'RW {length // SECTOR} FLAT "{path or table}" {offset // SECTOR}\n'
        for length, path, offset in _extents(disk)
    )
    path = folder / f"{disk.dev}.{FORMAT}"
    files.write_atomic(path, _DESCRIPTOR.format(extents=pieces), mode=0o600)
    return path


def reader(disk: SourceDisk, volumes: Callable[[str], Read]) -> Read:
    """Return what reads the disk, by what reads the volume of each path."""
    table = _table(disk)

    def read(offset: int, count: int) -> bytes:
        found, at = [], 0
        for length, path, begins in _extents(disk):
            start, end = max(offset, at), min(offset + count, at + length)
            if start < end:
                here, size = begins + start - at, end - start
                piece = volumes(path)(here, size) if path else table[here : here + size]
                found.append(piece.ljust(size, b"\0"))  # a file need not end with a sector
            at += length
        return b"".join(found)

    return read


def tables(disk: SourceDisk) -> tuple[bytes, bytes]:
    """Return the partition table, and what has to be in the last MiB of the disk."""
    name = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(part.path for part in disk.parts))
    if not _is_gpt(disk.parts):
        entries: list[tuple[int, int, int, int]] = [
            (part.number, 0x82 if part.swap else 0x83, part.start // SECTOR, part.size // SECTOR)
            for part in disk.parts
        ]
        return _mbr(name.bytes[:4], entries), b""
    sectors = disk.size // SECTOR
    entries = [(1, 0xEE, 1, min(sectors - 1, 0xFFFFFFFF))]
    array = _gpt_entries(name, disk.parts)
    head = _gpt_header(name, array, own=1, other=sectors - 1, at=2, sectors=sectors)
    last = _gpt_header(name, array, own=sectors - 1, other=1, at=sectors - 33, sectors=sectors)
    front = _mbr(bytes(4), entries) + head.ljust(SECTOR, b"\0") + array
    end = array + last.ljust(SECTOR, b"\0")
    return front, end.rjust(MIB, b"\0")


def _table(disk: SourceDisk) -> bytes:
    """Return what lies in no volume: the head of the disk, a MiB of padding, and its tail."""
    head, tail = tables(disk)
    return head.ljust(disk.parts[0].start + MIB, b"\0") + tail.ljust(MIB, b"\0")


def _extents(disk: SourceDisk) -> Iterator[Extent]:
    """Yield the pieces of the disk in their order."""
    padding = disk.parts[0].start
    yield padding, TABLE, 0
    for part in disk.parts:
        yield part.size, part.path, 0
        pad = _up(part.size, MIB) - part.size
        if pad:
            yield pad, TABLE, padding
    if _is_gpt(disk.parts):
        yield MIB, TABLE, padding + MIB


def _is_gpt(parts: Sequence[Part]) -> bool:
    return parts[0].start > MIB


def _mbr(signature: bytes, entries: Iterable[tuple[int, int, int, int]]) -> bytes:
    """Return sector 0; an entry is number, type, start and length. CHS says: too large for it."""
    places = [bytes(16)] * 4
    for number, kind, start, count in entries:
        chs = b"\xfe\xff\xff"
        places[number - 1] = struct.pack("<B3sB3sII", 0, chs, kind, chs, start, count)
    return bytes(440) + signature + bytes(2) + b"".join(places) + b"\x55\xaa"


def _gpt_entries(name: uuid.UUID, parts: Iterable[Part]) -> bytes:
    places = [bytes(128)] * 128
    boot = Part("boot", "", BOOT, MIB, MIB)
    for part in (*parts, boot):
        kind = "boot" if part is boot else "swap" if part.swap else "linux"
        first = part.start // SECTOR
        places[part.number - 1] = struct.pack(
            "<16s16sQQQ72s",
            GUIDS[kind].bytes_le,
            uuid.uuid5(name, part.dev).bytes_le,
            first,
            first + part.size // SECTOR - 1,
            0,
            part.dev.encode("utf-16-le"),
        )
    return b"".join(places)


def _gpt_header(
    name: uuid.UUID, array: bytes, *, own: int, other: int, at: int, sectors: int
) -> bytes:
    """Return GPT's header: its own sector, that of the other header, where the entries begin."""

    def packed(crc: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            *(b"EFI PART", 0x10000, 92, crc, 0, own, other, 34, sectors - 34),
            *(name.bytes_le, at, 128, 128, zlib.crc32(array)),
        )

    return packed(zlib.crc32(packed(0)))


def _up(count: int, unit: int) -> int:
    return -(-count // unit) * unit


_DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="twoGbMaxExtentFlat"

# Extent description
{extents}
# The Disk Data Base
#DDB
ddb.adapterType = "ide"
"""
