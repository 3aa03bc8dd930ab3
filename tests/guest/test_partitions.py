# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk's first sectors, read from images that sfdisk made."""

import subprocess
from pathlib import Path

import pytest

from xen2kvmd.guest.partitions import (
    BIOS_BOOT,
    SECTOR,
    BootRoom,
    Read,
    boot_room,
    has_boot_code,
    read_table,
)

SIZE = 64 << 20


def disk(folder: Path, layout: str = "") -> Path:
    path = folder / "disk.raw"
    with path.open("wb") as file:
        file.truncate(SIZE)
    if layout:
        subprocess.run(["sfdisk", "--quiet", path], input=layout.encode(), check=True)
    return path


def reader(path: Path) -> Read:
    data = path.read_bytes()
    return lambda sector, count: data[sector * SECTOR : (sector + count) * SECTOR]


def put(path: Path, data: bytes, *, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_mbr_of_pygrubs_guest_has_room_and_no_code(tmp_path: Path) -> None:
    read = reader(disk(tmp_path, "label: dos\n2048,,83,*\n"))
    table = read_table(read)
    assert (table.kind, table.partitions[0].start) == ("msdos", 2048)
    assert boot_room(read, table) == BootRoom(1, 2047 * SECTOR)
    assert not has_boot_code(read, table)


def test_old_disk_has_62_sectors(tmp_path: Path) -> None:
    read = reader(disk(tmp_path, "label: dos\n63,100000,83\n,,82\n"))
    assert boot_room(read, read_table(read)) == BootRoom(1, 62 * SECTOR)


def test_code_that_only_looks_for_the_active_partition_is_none(tmp_path: Path) -> None:
    path = disk(tmp_path, "label: dos\n2048,,83,*\n")
    put(path, b"\xfa\xb8\x00\x10\x8e\xd0", at=0)
    assert not has_boot_code(reader(path), read_table(reader(path)))
    put(path, b"...GRUB \x00Geom", at=2048 * SECTOR)
    assert has_boot_code(reader(path), read_table(reader(path)))


def test_foreign_data_in_the_gap_are_not_overwritten(tmp_path: Path) -> None:
    path = disk(tmp_path, "label: dos\n2048,,83\n")
    put(path, b"someone's", at=700 * SECTOR)
    assert boot_room(reader(path), read_table(reader(path))).size == 0


def test_an_old_core_of_grub_in_the_gap_may_go(tmp_path: Path) -> None:
    path = disk(tmp_path, "label: dos\n2048,,83\n")
    put(path, b"loading\x00Geom\x00Read\x00 Error", at=SECTOR + 0x180)
    assert boot_room(reader(path), read_table(reader(path))).size > 0


def test_gpt_has_room_in_its_bios_boot_partition(tmp_path: Path) -> None:
    layout = f"label: gpt\n2048,2048,{BIOS_BOOT}\n4096,,L\n"
    read = reader(disk(tmp_path, layout))
    table = read_table(read)
    assert table.kind == "gpt"
    assert [part.number for part in table.partitions] == [1, 2]
    assert boot_room(read, table) == BootRoom(2048, 2048 * SECTOR)


@pytest.mark.parametrize(
    ("partitions", "sector", "sectors"),
    [
        ("2048,,L", 34, 2014),
        ("4096,,L", 34, 2048),
        ("64,40960,L\n45056,40960,L\n43008,,L", 41024, 1984),
        ("64,130960,L", 0, 0),
    ],
)
def test_gpt_has_room_where_a_partition_can_be_made(
    tmp_path: Path, partitions: str, sector: int, sectors: int
) -> None:
    read = reader(disk(tmp_path, f"label: gpt\nfirst-lba: 34\n{partitions}\n"))
    room = boot_room(read, read_table(read))
    assert room == BootRoom(sector, sectors * SECTOR, free=bool(sectors))


def test_gpt_that_says_to_begin_at_sector_0_keeps_its_table(tmp_path: Path) -> None:
    path = disk(tmp_path, "label: gpt\n2048,,L\n")
    put(path, bytes(8), at=SECTOR + 40)
    assert boot_room(reader(path), read_table(reader(path))).sector == 34


@pytest.mark.parametrize("kind", ["", "ext4", "vfat"])
def test_a_disk_without_partitions_has_no_table(tmp_path: Path, kind: str) -> None:
    path = disk(tmp_path)
    if kind:
        subprocess.run([f"mkfs.{kind}", path], check=True, capture_output=True)
    assert read_table(reader(path)).kind == ""


@pytest.mark.parametrize("sector", [b"\xff" * 512, b"\x00" * 510 + b"\x55\xaa", b""])
def test_garbage_is_no_table_with_partitions(sector: bytes) -> None:
    def read(at: int, count: int) -> bytes:
        return sector if at == 0 else b"\xff" * count * SECTOR

    assert read_table(read).partitions == ()
    assert boot_room(read, read_table(read)).size == 0


def test_gpt_with_absurd_numbers_is_read_to_its_end() -> None:
    first = bytearray(512)
    first[446 + 4] = 0xEE
    first[510:] = b"\x55\xaa"
    header = b"EFI PART" + b"\xff" * 504

    def read(at: int, count: int) -> bytes:
        return bytes(first) if at == 0 else header if at == 1 else b"\xff" * count * SECTOR

    assert read_table(read).partitions == ()
