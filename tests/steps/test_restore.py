# SPDX-License-Identifier: GPL-2.0-or-later
"""A restore writes over nothing, leaves nothing when it fails, and takes away nothing of others."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cattrs
import pytest

from xen2kvmd.errors import (
    Failed,
    InsufficientSpace,
    InvalidOption,
    TargetExists,
    Unsupported,
    VerifyFailed,
)
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Backup, SavedDisk
from xen2kvmd.steps.reserve import NOTE
from xen2kvmd.steps.restore import RESTORE
from xen2kvmd.system import blocks, files
from xen2kvmd.system.disk import make_image
from xen2kvmd.targets.room import Need, store_of

(STEP,) = RESTORE
MIB = 1 << 20
SIZE = 8 * MIB
Make = Callable[..., Run]


def saved(folder: Path, dev: str, path: Path) -> SavedDisk:
    """Write a disk and its image, and return what a manifest says of them."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(dev.encode() * MIB + bytes(SIZE - MIB * len(dev)))
    image = folder / f"{dev}.qcow2"
    make_image(image, image_format="qcow2", size=SIZE, preallocated=False)
    digest = blocks.copy(
        lambda _done, _total: None, source=(str(path), "raw"), target=(str(image), "qcow2")
    )
    return SavedDisk(dev, str(path), "", "raw", SIZE, digest, image.name)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of two disks of one name, in two folders."""
    folder = tmp_path / "backup"
    folder.mkdir()
    disks = [saved(folder, dev, tmp_path / dev / "disk.raw") for dev in ("xvda", "xvdb")]
    made = cattrs.unstructure(Backup("web1", "job", 7, tuple(disks)))
    (folder / "manifest.json").write_text(json.dumps(made))
    (folder / "domain.xml").write_text("<domain/>")
    return folder


@pytest.fixture
def run(tmp_path: Path, backup: Path) -> Iterator[Make]:
    folder = tmp_path / "jobs/1"
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal")
    sender = Sender(tmp_path / "events", "1")

    def make(directory: str = "", cancelled: Callable[[], bool] = lambda: False) -> Run:
        spec = {"operation": "restore", "backup": str(backup), "directory": directory}
        return Run("1", folder, spec, journal, sender, cancelled=cancelled)

    yield make
    journal.close()
    sender.close()


def saved_as(backup: Path, image_format: str) -> bytes:
    """Let the backup's first disk be of a format; return what is on it."""
    manifest = json.loads((backup / "manifest.json").read_text())
    disk = manifest["disks"][0]
    disk["format"], content = image_format, Path(disk["path"]).read_bytes()
    Path(disk["path"]).unlink()
    manifest["disks"] = [disk]
    (backup / "manifest.json").write_text(json.dumps(manifest))
    return content


def findings(run: Run) -> list[str]:
    return [e["finding"]["id"] for e in run.journal.events if e["type"] == "finding"]


@pytest.mark.parametrize("image_format", ["qcow2", "qcow", "qed", "vpc", "vhdx"])
def test_disk_has_the_format_that_it_had(
    tmp_path: Path, backup: Path, run: Make, image_format: str
) -> None:
    """The domain XML, which is restored with it, says so."""
    content = saved_as(backup, image_format)
    made = run()
    STEP.do(made)
    path, raw = tmp_path / "xvda/disk.raw", tmp_path / "raw"
    argv = ["qemu-img", "convert", "-f", image_format, "-O", "raw", str(path), str(raw)]
    subprocess.run(argv, check=True)
    assert raw.read_bytes() == content
    assert findings(made) == []


def test_disk_of_a_format_that_is_not_written_is_raw_and_told(
    tmp_path: Path, backup: Path, run: Make
) -> None:
    content = saved_as(backup, "vmdk")
    made = run()
    STEP.do(made)
    assert (tmp_path / "xvda/disk.raw").read_bytes() == content
    assert findings(made) == ["restored-as-raw"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_disks_are_what_they_were_and_where_they_were(tmp_path: Path, run: Make) -> None:
    disks = [tmp_path / dev / "disk.raw" for dev in ("xvda", "xvdb")]
    before = [disk.read_bytes() for disk in disks]
    for disk in disks:
        disk.unlink()
    made = run()
    STEP.do(made)
    assert [disk.read_bytes() for disk in disks] == before
    assert (tmp_path / "backup/web1.xml").read_text() == "<domain/>"
    STEP.undo(made)  # it was killed when all was done: that stays
    assert [names(disk.parent) for disk in disks] == [["disk.raw"]] * 2


def test_backups_that_lie_together_are_restored_one_after_another(
    tmp_path: Path, backup: Path, run: Make
) -> None:
    """As volumes of a pool do; each has a manifest and a domain XML of its own name."""
    for name in ("web1-1-", "web1-2-"):
        for dev in ("xvda", "xvdb"):
            (tmp_path / dev / "disk.raw").unlink()
        for part in ("manifest.json", "domain.xml"):
            shutil.copy(backup / part, backup / f"{name}{part}")
        made = run()
        made.spec = {**made.spec, "backup": str(backup / f"{name}manifest.json")}
        STEP.do(made)
        assert (backup / f"{name}web1.xml").read_text() == "<domain/>"


def test_two_disks_of_one_name_are_told_apart(tmp_path: Path, run: Make) -> None:
    place = tmp_path / "place"
    place.mkdir()
    STEP.do(run(str(place)))
    assert names(place) == ["web1.xml", "xvda-disk.raw", "xvdb-disk.raw"]
    for dev in ("xvda", "xvdb"):
        same = (tmp_path / dev / "disk.raw").read_bytes()
        assert (place / f"{dev}-disk.raw").read_bytes() == same


def test_what_is_there_stays(tmp_path: Path, run: Make) -> None:
    made = run()
    with pytest.raises(TargetExists, match="is there already"):
        STEP.do(made)
    STEP.undo(made)
    assert names(tmp_path / "xvda") == ["disk.raw"]


def test_what_comes_in_between_stays(tmp_path: Path, run: Make) -> None:
    """Somebody makes the second file while the first is written: both looked free."""
    place = tmp_path / "place"
    place.mkdir()
    theirs = place / "xvdb-disk.raw"

    def meanwhile() -> bool:
        if not theirs.exists():
            theirs.write_text("theirs")
        return False

    made = run(str(place), cancelled=meanwhile)
    with pytest.raises(TargetExists, match=r"xvdb-disk\.raw is there already"):
        STEP.do(made)
    STEP.undo(made)
    STEP.undo(made)
    assert names(place) == [theirs.name]
    assert theirs.read_text() == "theirs"


def test_a_changed_backup_leaves_nothing(tmp_path: Path, backup: Path, run: Make) -> None:
    place = tmp_path / "place"
    place.mkdir()
    other = saved(tmp_path, "xvdc", tmp_path / "xvdc/disk.raw").file
    (tmp_path / other).replace(backup / "xvdb.qcow2")
    made = run(str(place))
    with pytest.raises(VerifyFailed, match="is not what was backed up"):
        STEP.do(made)
    STEP.undo(made)
    assert names(place) == []


def test_too_little_room_is_told_before_anything_is_written(
    tmp_path: Path, run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "free", lambda _folder: MIB)
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(InsufficientSpace, match="need"):
        STEP.do(run(str(place)))
    assert names(place) == []


def test_room_that_another_job_has_reserved_is_not_free(tmp_path: Path, run: Make) -> None:
    need = Need("disk 'xvda'", sys.maxsize, store_of(tmp_path), 0, str(tmp_path / "theirs"))
    (tmp_path / "jobs/2").mkdir(parents=True)
    with closing(Journal(tmp_path / "jobs/2/journal")) as theirs:
        theirs.append("note", key=NOTE, value=[cattrs.unstructure(need)])
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(InsufficientSpace, match="disk 'xvda' of the job 2"):
        STEP.do(run(str(place)))
    assert names(place) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, run: Make) -> None:
    with pytest.raises(Failed, match="There is no directory"):
        STEP.do(run(str(tmp_path / "nowhere")))


def test_a_block_device_is_not_made_of_a_file(backup: Path, run: Make) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["disks"][0]["path"] = "/dev/vg0/web1"
    (backup / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Unsupported, match="block device /dev/vg0/web1") as caught:
        STEP.do(run())
    assert "--directory" in caught.value.hint


@pytest.mark.parametrize("file", ["../xvda/disk.raw", "/etc/shadow", ""])
def test_a_manifest_names_its_own_files_only(backup: Path, run: Make, file: str) -> None:
    manifest = backup / "manifest.json"
    document = json.loads(manifest.read_text())
    document["disks"][0]["file"] = file
    manifest.write_text(json.dumps(document))
    with pytest.raises(InvalidOption, match="not its own"):
        STEP.do(run())


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"guest": 7'])
def test_a_manifest_that_makes_no_sense_is_told(backup: Path, run: Make, text: str) -> None:
    (backup / "manifest.json").write_text(text)
    with pytest.raises(InvalidOption, match="cannot be read"):
        STEP.do(run())
