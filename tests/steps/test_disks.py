# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the source's disks are read, and what tells that somebody writes to them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.loop import loop_device
from xen2kvmd import domain
from xen2kvmd.errors import Failed, Unsupported, VmRunning
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Backing, Operation, PathMap, Request, Severity, SourceDisk
from xen2kvmd.steps import disks
from xen2kvmd.steps.way import mapped
from xen2kvmd.system import assembly, blocks
from xen2kvmd.system.disk import make_overlay
from xen2kvmd.system.nbd_server import serving
from xen2kvmd.system.opened_disk import opened_for_reading, opened_for_writing

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
    with loop_device(tmp_path / "device") as device:
        yield device


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


def found(run: Run, path: Path, image_format: str) -> SourceDisk:
    """Return a disk of a guest as the job finds it."""
    source = domain.read(
        "<domain type='xen'><name>web1</name><memory>1024</memory><os><type>linux</type></os>"
        f"<devices><disk type='file' device='disk'><driver type='{image_format}'/>"
        f"<source file='{path}'/><target dev='xvda'/></disk></devices></domain>"
    )
    (disk,) = disks.find(run, Request(Operation.PLAN, "xl:/x"), source, host="")
    return disk


def test_chain_and_snapshots_are_found_and_told(run: Run, tmp_path: Path) -> None:
    base, middle, top = (tmp_path / name for name in ("base.raw", "middle.qcow2", "top.qcow2"))
    base.write_bytes(os.urandom(1 << 20))
    make_overlay(middle, base="base.raw", base_format="raw")
    make_overlay(top, base="middle.qcow2", base_format="qcow2")
    subprocess.run(["qemu-img", "snapshot", "-c", "before", str(top)], check=True)
    disk = found(run, top, "qcow2")
    assert disk.backing == (Backing(str(middle), "qcow2"), Backing(str(base), "raw"))
    assert disk.allocated == 1 << 20
    copied = {each.id: each for each in disks.findings(run, (disk,), in_place=False)}
    kept = {each.id: each for each in disks.findings(run, (disk,), in_place=True)}
    assert copied["internal-snapshots"].message.endswith("which the copy will lack: before.")
    assert kept["internal-snapshots"].message.endswith("which it keeps: before.")
    assert f"builds on {middle}, {base}: the copy will hold" in copied["backing-chain"].message
    assert "have to stay" in kept["backing-chain"].hint
    before = disks.stamp(run, disk)
    base.write_bytes(os.urandom(1 << 20))
    assert disks.stamp(run, disk) != before


def test_lun_that_is_passed_through_is_told() -> None:
    source = domain.read(
        "<domain type='xen'><name>web1</name><memory>1024</memory><os><type>hvm</type></os>"
        "<devices><disk type='block' device='lun'><source dev='/dev/sdx'/>"
        "<target dev='sdb' bus='scsi'/></disk></devices></domain>"
    )
    (told,) = disks.of_luns(source)
    assert (told.id, told.severity) == ("disk-lun", Severity.BLOCKER)
    assert "the new guest gets /dev/sdx of its own host" in told.message


def test_image_over_a_device_is_read_by_us_whole(run: Run, device: str, tmp_path: Path) -> None:
    top = tmp_path / "top.qcow2"
    make_overlay(top, base=device, base_format="raw")
    with opened_for_writing(str(top), "qcow2") as opened:
        opened.write(bytearray(b"over" * 128), 0)
        opened.flush()
    disk = found(run, top, "qcow2")
    assert not disks.shows_writes(run, disk)
    digest = blocks.digest(disks.location(run, disk), "qcow2", lambda _done, _total: None)
    assert digest == blocks.digest(str(top), "qcow2", lambda _done, _total: None)
    disks.verify(run)


def test_image_over_what_has_no_path_is_refused(run: Run, tmp_path: Path) -> None:
    top = tmp_path / "top.qcow2"
    with serving(tmp_path / "socket", 1 << 20, lambda _at, count: bytes(count)) as uri:
        make_overlay(top, base=uri, base_format="raw")
        with pytest.raises(Unsupported, match="builds on nbd"):
            found(run, top, "qcow2")


def test_what_the_reader_knows_is_told(run: Run, device: str) -> None:
    """QEMU would say that it is an I/O error, whether the step begins or goes on."""

    def read(run: Run) -> None:
        disk = disks.remotes(run).disk("", device)
        disk.kept = 1
        with suppress(VmRunning):
            disk.read(0, 2 << 20)
            Path(device).write_bytes(b"changed")
            disk.read(0, 1)
        raise Failed("Input/output error")

    step = disks.explained(Step("read", read, go_on=read))
    with pytest.raises(VmRunning, match=device):
        step.do(run)
    assert step.go_on
    with pytest.raises(VmRunning, match=device):
        step.go_on(run)
