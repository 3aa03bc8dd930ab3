# SPDX-License-Identifier: GPL-2.0-or-later
"""Which volumes are put together, and what QEMU and sfdisk say of the disk that comes out."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from xen2kvmd.model import SourceDisk
from xen2kvmd.steps import assemble as rule
from xen2kvmd.system import assembly

MIB = 1 << 20


def head(disk: SourceDisk, size: int) -> bytes:
    return content(Path(disk.path), start=0, size=size)


def assemble(disks: tuple[SourceDisk, ...]) -> tuple[SourceDisk, ...]:
    return rule.assemble(disks, head)


def volume(folder: Path, dev: str, *, size: int = 8 * MIB, kind: str = "ext4") -> SourceDisk:
    path = folder / f"{dev}.raw"
    with path.open("wb") as stream:
        stream.truncate(size)
    if kind == "swap":
        subprocess.run(["mkswap", "--quiet", path], check=True)
    elif kind == "table":
        subprocess.run(["sfdisk", "--quiet", path], input=b"label: dos\n2048,,83\n", check=True)
    elif kind:
        subprocess.run(["mke2fs", "-q", "-F", "-t", kind, path], check=True)
    return SourceDisk(dev, str(path), "raw", size, 4096)


def flattened(folder: Path, disk: SourceDisk) -> Path:
    """Read the disk through QEMU, as the appliance and the copy do."""
    target = folder / "whole.raw"
    base = str(assembly.make(folder, disk))
    argv = ["qemu-img", "convert", "-f", assembly.FORMAT, "-O", "raw", base, str(target)]
    subprocess.run(argv, check=True)
    assert target.stat().st_size == disk.size
    assert_reads_the_same(target.read_bytes(), disk)
    return target


def assert_reads_the_same(whole: bytes, disk: SourceDisk) -> None:
    """Read the disk as it is served from another host, in pieces that begin and end anywhere."""

    def volumes(path: str) -> assembly.Read:
        return lambda offset, count: content(Path(path), start=offset, size=count)

    read, step = assembly.reader(disk, volumes), MIB + 4096 - 7
    pieces = [read(at, min(step, disk.size - at)) for at in range(0, disk.size, step)]
    assert b"".join(pieces) == whole


def table(path: Path) -> dict[str, object]:
    said = subprocess.run(["sfdisk", "--json", path], check=True, capture_output=True, text=True)
    assert said.stderr == ""
    found: dict[str, object] = json.loads(said.stdout)["partitiontable"]
    return found


def content(path: Path, *, start: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(size)


def check(folder: Path, disk: SourceDisk) -> dict[str, object]:
    """Find each volume byte by byte in its partition; return the table."""
    whole = flattened(folder, disk)
    for part in disk.parts:
        old = Path(part.path).read_bytes()
        assert content(whole, start=part.start, size=len(old)) == old
    return table(whole)


def test_swap_and_root_become_an_mbr_disk_in_order_of_numbers(tmp_path: Path) -> None:
    root = volume(tmp_path, "xvda2", size=8 * MIB)
    swap = volume(tmp_path, "xvda1", size=4 * MIB + 4096, kind="swap")
    data = volume(tmp_path, "xvdb", kind="ext4")
    disk, other = assemble((root, swap, data))
    assert other == data
    assert (disk.dev, disk.size, disk.allocated) == ("xvda", 14 * MIB, 8192)
    found = check(tmp_path, disk)
    assert found["label"] == "dos"
    shown = [(p["start"], p["size"], p["type"]) for p in found["partitions"]]  # type: ignore[attr-defined]
    assert shown == [(2048, 8200, "82"), (12288, 16384, "83")]


def test_numbers_above_four_become_gpt_with_room_for_boot_code(tmp_path: Path) -> None:
    disk = assemble((volume(tmp_path, "xvda1"), volume(tmp_path, "xvda7", kind="swap")))[0]
    found = check(tmp_path, disk)
    assert found["label"] == "gpt"
    nodes = [str(p["node"])[-3:].strip("aw.") for p in found["partitions"]]  # type: ignore[attr-defined]
    assert nodes == ["1", "7", "128"]
    verified = subprocess.run(
        ["sfdisk", "--verify", tmp_path / "whole.raw"], capture_output=True, text=True, check=True
    )
    assert "No errors detected" in verified.stdout


def test_the_same_volumes_give_the_same_disk(tmp_path: Path) -> None:
    disk = assemble((volume(tmp_path, "xvda1"), volume(tmp_path, "xvda2")))[0]
    assert assembly.tables(disk) == assembly.tables(disk)


def test_file_system_as_whole_boot_disk_becomes_partition_one(tmp_path: Path) -> None:
    pages = volume(tmp_path, "xvda", kind="swap")
    root, data = volume(tmp_path, "xvdb"), volume(tmp_path, "xvdc")
    first, second, third = assemble((pages, root, data))
    assert (first, third) == (pages, data)
    assert [(part.dev, part.number) for part in second.parts] == [("xvdb", 1)]


@pytest.mark.parametrize(
    "names",
    [
        {"xvda": "table", "xvdb": "ext4"},  # the first disk can boot, the second is data
        {"xvda1": "table", "xvda2": "ext4"},  # disks that only have such names
        {"xvda": "table", "xvda1": "ext4"},
        {"hda1": "ext4", "xvda2": "swap"},
        {"xvda128": "swap"},
        {"xvda": "", "xvdb": "table"},
    ],
    ids=str,
)
def test_what_can_stay_stays(tmp_path: Path, names: dict[str, str]) -> None:
    disks = tuple(volume(tmp_path, dev, kind=kind) for dev, kind in names.items())
    assert not any(disk.parts for disk in assemble(disks))


def test_volumes_of_one_host_are_put_together_there(tmp_path: Path) -> None:
    here = (volume(tmp_path, "xvda1", kind="swap"), volume(tmp_path, "xvda2"))
    (disk,) = assemble(tuple(replace(one, host="ssh://root@xen1") for one in here))
    assert (disk.host, disk.paths) == ("ssh://root@xen1", tuple(one.path for one in here))
    mixed = (replace(here[0], host="ssh://root@xen1"), here[1])
    assert assemble(mixed) == mixed


def test_path_that_an_extent_cannot_name_stays(tmp_path: Path) -> None:
    folder = tmp_path / 'a "quoted" name'
    folder.mkdir()
    disks = (volume(folder, "xvda1"),)
    assert assemble(disks) == disks
