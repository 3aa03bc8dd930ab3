# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup of several disks, which are copied beside each other; one that fails fails the whole."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cattrs
import pytest

from tests.loop import loop_device
from xen2kvmd.errors import Cancelled, Failed, TargetExists, VerifyFailed, VmRunning
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import BackupPlace, Operation, Request, SourceDisk
from xen2kvmd.steps import context, disks
from xen2kvmd.steps.backup_disks import BACKUP_DISKS
from xen2kvmd.system import blocks
from xen2kvmd.targets import backups

SIZE = 8 << 20
DOCUMENT = (
    "<domain type='xen'><name>web1</name><memory>9</memory><os><type>linux</type></os></domain>"
)
Cancel = Callable[[], bool]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "device").write_bytes(os.urandom(SIZE))
    with loop_device(tmp_path / "device") as device:
        yield device


@pytest.fixture
def made(tmp_path: Path, device: str) -> Iterator[Callable[[Cancel], Run]]:
    """A job that has found two disks, a device and a file, and is to make a backup of them."""
    (tmp_path / "file").write_bytes(os.urandom(SIZE))
    (tmp_path / "backups").mkdir()
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "events", "1")
    runs: list[Run] = []

    def make(cancelled: Cancel) -> Run:
        request = Request(Operation.BACKUP, "libvirtxml:/x", backup_disks=str(tmp_path / "backups"))
        spec = cattrs.unstructure(request)
        run = Run("1", tmp_path, spec, journal, sender, cancelled=cancelled)
        found = [
            SourceDisk("xvda", device, "raw", SIZE, SIZE),
            SourceDisk("xvdb", str(tmp_path / "file"), "raw", SIZE, SIZE),
        ]
        run.note("disks", cattrs.unstructure(found))
        run.note("stamps", {disk.dev: disks.stamp(run, disk) for disk in found})
        context.write(run, "source.xml", DOCUMENT)
        runs.append(run)
        return run

    yield make
    for run in runs:
        run.release()
    journal.close()
    sender.close()


def never() -> bool:
    return False


def test_both_disks_are_in_the_backup(
    tmp_path: Path, device: str, made: Callable[[Cancel], Run]
) -> None:
    BACKUP_DISKS.do(made(never))
    folder = tmp_path / "backups/web1-1"
    saved = json.loads((folder / "manifest.json").read_text())["disks"]
    assert [(disk["dev"], disk["path"]) for disk in saved] == [
        ("xvda", device),
        ("xvdb", str(tmp_path / "file")),
    ]
    for disk, source in zip(saved, ("device", "file"), strict=True):
        raw = blocks.digest(str(tmp_path / source), "raw", lambda _done, _total: None)
        assert disk["digest"] == raw
        image = str(folder / disk["file"])
        assert blocks.digest(image, "qcow2", lambda _done, _total: None) == raw


def test_disk_that_ends_too_early_fails_the_backup(
    tmp_path: Path, made: Callable[[Cancel], Run]
) -> None:
    def cut_off() -> bool:
        os.truncate(tmp_path / "file", SIZE // 2)
        return False

    run = made(cut_off)
    with pytest.raises((Failed, VerifyFailed, VmRunning), match=r"file|xvdb"):
        BACKUP_DISKS.do(run)
    BACKUP_DISKS.undo(run)
    assert list((tmp_path / "backups").iterdir()) == []


def test_earlier_backup_of_a_job_of_this_id_stays(
    tmp_path: Path, made: Callable[[Cancel], Run]
) -> None:
    """Who chooses a job's token may choose it again when that job is forgotten."""
    earlier = tmp_path / "backups/web1-1"
    earlier.mkdir()
    (earlier / "manifest.json").touch()
    run = made(never)
    with pytest.raises(TargetExists, match="'web1-1' already"):
        BACKUP_DISKS.do(run)
    BACKUP_DISKS.undo(run)
    assert [path.name for path in earlier.iterdir()] == ["manifest.json"]


def test_backup_of_another_host_that_is_being_made_stays(
    tmp_path: Path, made: Callable[[Cancel], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have the same folder, and jobs of the same token, in the same second.

    The other one begins when this has looked, and seen nothing.
    """
    folder = tmp_path / "backups"
    begun: list[BackupPlace] = []
    place = BackupPlace(str(folder / "web1-1"))
    find = backups.new_place

    def late(*args: Any, **words: Any) -> BackupPlace:
        found = find(*args, **words)
        if not begun:
            begun.append(found)
            backups.claim(place, ["xvda"], mark="theirs")
            backups.make_images(place, [("xvda", SIZE)])
        return found

    monkeypatch.setattr(backups, "new_place", late)
    run = made(never)
    with pytest.raises(TargetExists, match="Another job makes the backup 'web1-1'"):
        BACKUP_DISKS.do(run)
    BACKUP_DISKS.undo(run)
    assert [path.name for path in Path(place.folder).iterdir()] == ["xvda.qcow2"]
    backups.release(place, mark="theirs")
    with pytest.raises(TargetExists, match="There is a backup 'web1-1' already"):
        BACKUP_DISKS.do(run)
    BACKUP_DISKS.undo(run)
    assert [path.name for path in folder.iterdir()] == ["web1-1"]


def test_claim_of_a_process_that_died_is_given_up(
    tmp_path: Path, made: Callable[[Cancel], Run]
) -> None:
    run, place = made(never), BackupPlace(str(tmp_path / "backups/web1-1"))
    run.note("backup-claim", {"place": cattrs.unstructure(place), "mark": "ours"})
    for left in ("ours", ""):
        place.claim.write_text(left)
        BACKUP_DISKS.undo(run)
        BACKUP_DISKS.undo(run)
        assert not place.claim.exists()
    BACKUP_DISKS.do(run)
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["web1-1"]


def test_cancel_is_heard_by_both(tmp_path: Path, made: Callable[[Cancel], Run]) -> None:
    run = made(lambda: True)
    with pytest.raises(Cancelled):
        BACKUP_DISKS.do(run)
    BACKUP_DISKS.undo(run)
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[Path]:
    """A file system on the folder of the backups, and the same at another place."""
    folder, elsewhere = tmp_path / "backups", tmp_path / "nas"
    elsewhere.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "nas", folder], check=True)
    subprocess.run(["mount", "--bind", folder, elsewhere], check=True)
    yield elsewhere
    for mounted in (folder, elsewhere):
        if mounted.is_mount():
            subprocess.run(["umount", mounted], check=True)


def test_backup_on_a_nas_that_is_not_mounted_is_not_taken_for_removed(
    tmp_path: Path, made: Callable[[Cancel], Run], nas: Path
) -> None:
    """As after a power cut: this host is up again before the NAS is."""
    folder, run = tmp_path / "backups", made(never)
    BACKUP_DISKS.do(run)
    subprocess.run(["umount", folder], check=True)
    with pytest.raises(Failed, match=f"Nothing is mounted at {folder}"):
        BACKUP_DISKS.undo(run)
    assert list(nas.iterdir())
    subprocess.run(["mount", "--bind", nas, folder], check=True)
    BACKUP_DISKS.undo(run)
    assert not list(nas.iterdir())
