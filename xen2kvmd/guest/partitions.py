# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk's first sectors: its partition table, its boot code, and room for some."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

SECTOR = 512
GAP = 2048  # sectors; room behind this one is more than any boot loader needs
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
    """A partition table: "msdos", "gpt", or "" where there is none."""

    kind: str
    partitions: tuple[Partition, ...] = ()


def read_table(read: Read) -> Table:
    """Read a disk's partition table; of MBR the four entries of sector 0."""
    first = read(0, 1)
    if first[510:512] != b"\x55\xaa":
        return Table("")
    entries = [first[446 + 16 * n : 462 + 16 * n] for n in range(4)]
    if any(entry[0] not in (0, 0x80) for entry in entries):
        return Table("")  # a file system's boot sector, which ends alike
    if any(entry[4] == 0xEE for entry in entries):
        return Table("gpt", _gpt(read))
    found = tuple(_mbr(number, entry) for number, entry in enumerate(entries, start=1) if entry[4])
    return Table("msdos", found) if found else Table("")  # or FAT, whose first sector ends alike


def has_boot_code(read: Read, table: Table) -> bool:
    """Tell whether a BIOS finds a boot loader: in sector 0, or in the active partition.

    Code alone proves nothing: parted and fdisk write a few bytes that only look for the active
    partition, and that one is empty in a guest of pygrub's.
    """
    places = [0] + [part.start for part in table.partitions if part.active]
    return any(name in read(start, 1)[:440] for start in places for name in LOADERS)


def boot_room(read: Read, table: Table) -> tuple[int, int]:
    """Return the sector from which on boot code may lie, and the bytes that are free there."""
    if table.kind == "gpt":
        for part in table.partitions:
            if part.kind == BIOS_BOOT:
                return part.start, part.sectors * SECTOR
        return 0, 0
    if table.kind != "msdos" or not table.partitions:
        return 0, 0
    end = min(GAP, *(part.start for part in table.partitions))
    gap = read(1, end - 1) if end > 1 else b""
    ours = not any(gap) or GRUB_CORE in gap[:SECTOR]
    return 1, len(gap) if ours else 0


def _mbr(number: int, entry: bytes) -> Partition:
    start, sectors = struct.unpack("<II", entry[8:16])
    return Partition(number, start, sectors, f"{entry[4]:02x}", active=entry[0] == 0x80)


def _gpt(read: Read) -> tuple[Partition, ...]:
    header = read(1, 1)
    if header[:8] != b"EFI PART":
        return ()
    at, count, size = struct.unpack("<QII", header[72:88])
    if size < 128 or size > SECTOR or not 0 < count <= 1024:
        return ()
    entries = read(at, -(-count * size // SECTOR))
    found = []
    for number in range(count):
        entry = entries[number * size : (number + 1) * size]
        if any(entry[:16]):
            first, last = struct.unpack("<QQ", entry[32:48])
            found.append(Partition(number + 1, first, last - first + 1, _guid(entry[:16])))
    return tuple(found)


def _guid(raw: bytes) -> str:
    a, b, c = struct.unpack("<IHH", raw[:8])
    tail = raw[8:].hex().upper()
    return f"{a:08X}-{b:04X}-{c:04X}-{tail[:4]}-{tail[4:]}"
