# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the source's disks are read, and what tells that somebody writes to them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from xen2kvmd.errors import VmRunning
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import PathMap, SourceDisk
from xen2kvmd.steps import disks
from xen2kvmd.steps.disks import mapped
from xen2kvmd.system import assembly, blocks
from xen2kvmd.system.opened_disk import opened_for_reading

FAR = "ssh://root@xen1"
MAPS = (
    PathMap("/srv/a.img", "", "/mnt/b.img"),
    PathMap("/srv", FAR, "/far"),
    PathMap("/dev/vg0/", "", "/dev/vg1"),
)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/srv/a.img", ("", "/mnt/b.img")),
        ("/srv/x/c.img", (FAR, "/far/x/c.img")),
        ("/srv2/c.img", ("ssh://other", "/srv2/c.img")),
        ("/dev/vg0/root", ("", "/dev/vg1/root")),
    ],
)
def test_first_map_that_matches_wins(path: str, where: tuple[str, str]) -> None:
    assert mapped(path, MAPS, host="ssh://other") == where


def test_the_root_is_above_all() -> None:
    assert mapped("/a/b", (PathMap("/", FAR, "/"),), host="") == (FAR, "/a/b")
    assert mapped("/a/b", (PathMap("/", "", "/"),), host=FAR) == ("", "/a/b")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "events", "1")
    made = Run("1", tmp_path, {}, journal, sender, cancelled=lambda: False)
    yield made
    made.release()
    journal.close()
    sender.close()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "device").write_bytes(os.urandom(3 << 20))
    argv = ["losetup", "--find", "--show", str(tmp_path / "device")]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop devices here: {made.stderr}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def test_block_device_does_not_show_writes_and_is_read_by_us(run: Run, device: str) -> None:
    disk = SourceDisk("xvda", device, "raw", 3 << 20, 3 << 20)
    assert disks.stamp(run, disk) == []
    assert not disks.shows_writes(run, disk)
    blocks.digest(disks.location(run, disk), "raw", lambda _done, _total: None)
    disks.verify(run)
    with open(device, "r+b") as stream:
        stream.write(b"changed")
    with pytest.raises(VmRunning, match=device):
        disks.verify(run)


def test_disk_of_volumes_is_read_by_us_if_one_is_a_device(
    run: Run, device: str, tmp_path: Path
) -> None:
    file = tmp_path / "file.raw"
    file.write_bytes(os.urandom(1 << 20))
    volumes = [(1, "xvda1", str(file), 1 << 20), (2, "xvda2", device, 3 << 20)]
    parts = assembly.lay_out(volumes, ())
    disk = SourceDisk("xvda", "", "raw", assembly.size(parts), 4 << 20, "", parts)
    assert not disks.shows_writes(run, disk)
    with opened_for_reading(disks.location(run, disk), "raw") as opened:
        ((_, first), (_, second)) = opened.read([(part.start, part.size) for part in parts])
    assert first == file.read_bytes()
    assert second == (tmp_path / "device").read_bytes()
    assert disks.stamp(run, disk) == [file.stat().st_mtime_ns, 1 << 20]


def test_image_file_shows_writes_and_is_read_by_qemu(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file.raw"
    file.write_bytes(bytes(1 << 20))
    disk = SourceDisk("xvda", str(file), "raw", 1 << 20, 0)
    assert disks.location(run, disk) == str(file)
    before = disks.stamp(run, disk)
    assert disks.shows_writes(run, disk)
    file.write_bytes(b"changed")
    assert disks.stamp(run, disk) != before
