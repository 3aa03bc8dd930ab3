# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk's first sectors: its partition table, its boot code, and room for some."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

SECTOR = 512
GAP = 2048  # sectors; room behind this one is more than any boot loader needs
TABLE = 34  # sectors at least of GPT itself
LEAST = 128  # sectors of a BIOS boot partition: 64 KiB hold the core of any grub-install
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LOADERS = (b"GRUB", b"LILO", b"SYSLINUX", b"EXTLINUX")
GRUB_CORE = b"Geom"  # an error message in the first sector of every GRUB core image

Read = Callable[[int, int], bytes]  # sector and number of sectors


@dataclass(frozen=True)
class Partition:
    """A partition: its number, where it lies, in sectors, and its type as the table writes it."""

    number: int
    start: int
    sectors: int
    kind: str
    active: bool = False


@dataclass(frozen=True)
class Table:
    """A partition table: "msdos", "gpt", or "" where there is none.

    Partitions of GPT lie between the sectors first and last.
    """

    kind: str
    partitions: tuple[Partition, ...] = ()
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class BootRoom:
    """Where boot code may lie: from a sector on, so many bytes; free if a partition is to be made.

    GPT alone needs a partition around it. Where there is no room, size is 0.
    """

    sector: int = 0
    size: int = 0
    free: bool = False


def read_table(read: Read) -> Table:
    """Read a disk's partition table; of MBR the four entries of sector 0."""
    first = read(0, 1)
    if first[510:512] != b"\x55\xaa":
        return Table("")
    entries = [first[446 + 16 * n : 462 + 16 * n] for n in range(4)]
    if any(entry[0] not in (0, 0x80) for entry in entries):
        return Table("")  # a file system's boot sector, which ends alike
    if any(entry[4] == 0xEE for entry in entries):
        return _gpt(read)
    found = tuple(_mbr(number, entry) for number, entry in enumerate(entries, start=1) if entry[4])
    return Table("msdos", found) if found else Table("")  # or FAT, whose first sector ends alike


def has_boot_code(read: Read, table: Table) -> bool:
    """Tell whether a BIOS finds a boot loader: in sector 0, or in the active partition.

    Code alone proves nothing: parted and fdisk write a few bytes that only look for the active
    partition, and that one is empty in a guest of pygrub's.
    """
    places = [0] + [part.start for part in table.partitions if part.active]
    return any(name in read(start, 1)[:440] for start in places for name in LOADERS)


def boot_room(read: Read, table: Table) -> BootRoom:
    """Find room for boot code: the gap before the first partition, or a partition for it."""
    if table.kind == "gpt":
        for part in table.partitions:
            if part.kind == BIOS_BOOT:
                return BootRoom(part.start, part.sectors * SECTOR)
        return _gap_of_gpt(read, table)
    if table.kind != "msdos" or not table.partitions:
        return BootRoom()
    end = min(GAP, *(part.start for part in table.partitions))
    gap = read(1, end - 1) if end > 1 else b""
    return BootRoom(1, len(gap) if _unused(gap) else 0)


def _gap_of_gpt(read: Read, table: Table) -> BootRoom:
    """Find the first sectors that no partition has and nobody uses.

    There are some on nearly every disk: partitions begin at sector 2048, the table ends at 33.
    """
    at = max(table.first, TABLE)
    for part in (*sorted(table.partitions, key=lambda part: part.start), _end(table)):
        count = min(part.start - at, GAP)
        if count >= LEAST and _unused(read(at, count)):
            return BootRoom(at, count * SECTOR, free=True)
        at = max(at, part.start + part.sectors)
    return BootRoom()


def _end(table: Table) -> Partition:
    return Partition(0, table.last + 1, 0, "")


def _unused(gap: bytes) -> bool:
    return not any(gap) or GRUB_CORE in gap[:SECTOR]


def _mbr(number: int, entry: bytes) -> Partition:
    start, sectors = struct.unpack("<II", entry[8:16])
    return Partition(number, start, sectors, f"{entry[4]:02x}", active=entry[0] == 0x80)


def _gpt(read: Read) -> Table:
    header = read(1, 1)
    if header[:8] != b"EFI PART":
        return Table("gpt")
    first, last = struct.unpack("<QQ", header[40:56])
    at, count, size = struct.unpack("<QII", header[72:88])
    if size < 128 or size > SECTOR or not 0 < count <= 1024:
        return Table("gpt")
    entries = read(at, -(-count * size // SECTOR))
    found = []
    for number in range(count):
        entry = entries[number * size : (number + 1) * size]
        if any(entry[:16]):
            start, end = struct.unpack("<QQ", entry[32:48])
            found.append(Partition(number + 1, start, end - start + 1, _guid(entry[:16])))
    return Table("gpt", tuple(found), first, last)


def _guid(raw: bytes) -> str:
    a, b, c = struct.unpack("<IHH", raw[:8])
    tail = raw[8:].hex().upper()
    return f"{a:08X}-{b:04X}-{c:04X}-{tail[:4]}-{tail[4:]}"
