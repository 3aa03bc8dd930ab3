# SPDX-License-Identifier: GPL-2.0-or-later
"""A source goes down only when its job has all that it needs of this host."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cattrs
import pytest

from xen2kvmd.errors import Cancelled, InsufficientSpace
from xen2kvmd.jobs import journal, last
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.jobs.store import JobRecord
from xen2kvmd.model import Facts, Operation, Plan, PlannedDisk, SourceDisk, Volume
from xen2kvmd.steps import context, headroom, reserve, turn
from xen2kvmd.steps.operations import NATIVE, STEPS
from xen2kvmd.steps.reserve import RESERVE
from xen2kvmd.steps.turn import Turn
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import backups
from xen2kvmd.targets.room import UNCERTAIN, Need, store_of

MIB = 1 << 20
FREE = 100 * MIB
Make = Callable[..., Run]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make jobs that have a plan, each with a disk of 60 of the 100 MiB that are free."""
    monkeypatch.setattr(files, "free", lambda _folder: FREE)
    monkeypatch.setattr(reserve, "target_host", lambda _request: connected("test:///default"))
    target = tmp_path / "target"
    target.mkdir()
    with ExitStack() as opened:

        def make(
            name: str, *, size: int = 60 * MIB, used: int = -1, pool: str = "", **notes: Any
        ) -> Run:
            folder = tmp_path / "jobs" / name
            folder.mkdir(parents=True)
            journal, sender = Journal(folder / "journal"), Sender(tmp_path / "socket", name)
            opened.callback(journal.close)
            opened.callback(sender.close)
            spec = {"operation": "migrate", "vm": name, "source": "test:///default"}
            spec |= {"pool": pool} if pool else {"directory": str(target)}
            run = Run(name, folder, spec, journal, sender, cancelled=lambda: False)
            used = size if used < 0 else used
            disk = SourceDisk("xvda", "/src/xvda", "raw", size, size, used=used)
            run.notes |= {"disks": cattrs.unstructure([disk]), **notes}
            file = f"{name}-vda.img"
            volume = Volume("xvda", str(target / file), "raw", pool, file)
            planned = Plan(
                name, name, Facts(), (PlannedDisk(disk, volume, "vda"),), (), (), "", 0, 0, 0
            )
            context.write(run, "plan.json", json.dumps(cattrs.unstructure(planned)))
            return run

        yield make


def test_turn_of_virt_v2v_is_waited_for_before_the_source_goes_down(job: Make) -> None:
    first, second = job("j1", engine="v2v"), job("j2", engine="v2v")
    turn.take(first)
    looks = iter((False, True))
    second.cancelled = lambda: next(looks)
    with pytest.raises(Cancelled):
        RESERVE.do(second)
    names = [step.name for step in NATIVE]
    assert names.index(RESERVE.name) < names.index("shutdown")


def test_turn_is_kept_over_the_shutdown_and_passed_on(job: Make) -> None:
    first, second = job("j1"), job("j2")
    second.cancelled = lambda: True
    turn.take(first)
    turn.take(first)
    with pytest.raises(Cancelled):
        turn.take(second)
    first.close(Turn)
    turn.take(second)
    second.release()
    turn.take(first)


def test_room_for_what_virt_v2v_writes_is_looked_at_before(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InsufficientSpace, match=r"virt-v2v's disks in .*/jobs/j1/scratch"):
        RESERVE.do(job("j1", engine="v2v"))
    monkeypatch.setattr(files, "free", lambda _folder: 100 * FREE)
    RESERVE.do(job("j2", engine="v2v"))


def test_room_that_another_job_has_reserved_is_not_free(job: Make, tmp_path: Path) -> None:
    """It counts less as it is taken, and no more when the copy is done."""
    first, second = job("j1"), job("j2")
    RESERVE.do(first)
    with pytest.raises(InsufficientSpace, match=r"disk 'xvda' of the job j1 60\.0 MiB"):
        RESERVE.do(second)
    (tmp_path / "target/j1-vda.img").write_bytes(b"x" * 30 * MIB)
    with pytest.raises(InsufficientSpace, match="of the job j1"):
        RESERVE.do(second)  # it is an older one, which the first replaces
    first.note("volumes", [{"dev": "xvda"}])
    RESERVE.do(second)
    with pytest.raises(InsufficientSpace, match="job j2"):
        RESERVE.do(job("j3"))
    for done in (first, second):
        done.record("step-done", step="copy")
    RESERVE.do(job("j4"))


@pytest.mark.parametrize("end", ["undone", "over"])
def test_room_of_a_job_that_is_over_is_free(job: Make, end: str) -> None:
    first = job("j1")
    RESERVE.do(first)
    if end == "undone":
        RESERVE.undo(first)
    else:
        first.record("ended", state="failed")
    RESERVE.do(job("j2"))


def test_long_journals_of_jobs_that_are_over_are_not_read(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = job("j1"), job("j2")
    first.record("ended", state="succeeded")
    record = JobRecord("j1", "migrate", "web1", "xen:///system", "", 0, 7, {})
    size = (first.folder / "journal").stat().st_size
    last.keep(first.folder, record.status(), journal=size)
    monkeypatch.setattr(journal, "read", lambda path: pytest.fail(f"{path} is read"))
    RESERVE.do(second)


@pytest.fixture
def backup(job: Make, tmp_path: Path) -> Make:
    """Make jobs that copy such a disk into a backup, in the folder of the jobs' targets."""

    def make(name: str) -> Run:
        run = job(name)
        run.spec = {**run.spec, "operation": "backup", "backup_disks": str(tmp_path / "target")}
        (run.folder / "plan.json").unlink()
        return run

    return make


def test_two_backups_do_not_count_on_the_same_room(backup: Make, tmp_path: Path) -> None:
    """What the first has written counts once; when it is written, so does no more of it."""
    first, second = backup("b1"), backup("b2")
    RESERVE.do(first)
    with pytest.raises(InsufficientSpace, match=r"the backup in .* of the job b1 60\.0 MiB"):
        RESERVE.do(second)
    folder = tmp_path / "target/b1"
    folder.mkdir()
    (folder / "xvda.qcow2").write_bytes(b"x" * 30 * MIB)
    first.note(backups.DEVS, ["xvda"])
    first.note(backups.PLACE, {"folder": str(folder), "prefix": "", "pool": ""})
    RESERVE.do(second)
    RESERVE.undo(second)
    first.record("step-done", step="backup-disks")
    RESERVE.do(second)
    names = [step.name for step in STEPS[Operation.BACKUP]]
    assert names.index(RESERVE.name) < names.index("shutdown")


def test_backup_and_migration_do_not_count_on_the_same_room(job: Make, backup: Make) -> None:
    RESERVE.do(job("j1"))
    with pytest.raises(InsufficientSpace, match="disk 'xvda' of the job j1"):
        RESERVE.do(backup("b1"))


def test_migration_counts_what_is_restored(job: Make, tmp_path: Path) -> None:
    """What is written of it is taken already."""
    written = tmp_path / "target/.disk.raw.r1"
    need = Need("disk 'xvda'", 60 * MIB, store_of(written.parent), FREE, str(written))
    reserve.reserve_here(job("r1"), [need])
    with pytest.raises(InsufficientSpace, match="disk 'xvda' of the job r1"):
        RESERVE.do(job("j1"))
    written.write_bytes(b"x" * 30 * MIB)
    RESERVE.do(job("j2"))


def test_room_in_a_pool_is_reserved_too(job: Make) -> None:
    with connected("test:///default") as host:
        size = host.pool("default-pool").available * 6 // 10
    first, second = (job(name, size=size, pool="default-pool") for name in ("j1", "j2"))
    RESERVE.do(first)
    with pytest.raises(InsufficientSpace, match=r"on pool 'default-pool': .* of the job j1"):
        RESERVE.do(second)


def test_room_that_may_not_suffice_is_waived_before_it_is_reserved(job: Make) -> None:
    """What is reserved is what its file systems use; another job may count on the rest."""
    with pytest.raises(InsufficientSpace, match=r"Between 20\.0 MiB and 500\.0 MiB") as refused:
        RESERVE.do(job("j1", size=500 * MIB, used=20 * MIB))
    assert "--waive room-uncertain" in refused.value.hint
    RESERVE.do(waiving(job("j2", size=500 * MIB, used=20 * MIB)))
    RESERVE.do(job("j3"))
    with pytest.raises(InsufficientSpace, match="of the job j3"):
        RESERVE.do(job("j4"))


def test_room_is_looked_at_again_when_the_disks_are_converted(job: Make) -> None:
    """They are trimmed then: no more than that is copied."""
    first, second = job("j1", used=20 * MIB), job("j2", size=500 * MIB, used=20 * MIB)
    RESERVE.do(first)
    reserve.more(first, {"xvda": 50 * MIB})  # less than was thought
    assert first.notes["reserved"][0]["count"] == 60 * MIB
    reserve.more(first, {"xvda": 70 * MIB})
    assert first.notes["reserved"][0]["count"] == 70 * MIB
    with pytest.raises(InsufficientSpace, match=r"Between 20\.0 MiB and 120\.0 MiB"):
        reserve.more(first, {"xvda": 120 * MIB})
    RESERVE.undo(first)
    RESERVE.do(waiving(second))
    reserve.more(second, {"xvda": 90 * MIB})  # now that is known, it fits
    assert second.notes["room-uncertain"] == []
    assert second.notes["reserved"][0]["count"] == 90 * MIB


def test_copy_that_was_waived_ends_before_the_room_does(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another job has reserved is not free."""
    monkeypatch.setattr(headroom, "SPARE", 10 * MIB)
    certain, waived = job("j1", used=20 * MIB), waiving(job("j2", size=500 * MIB, used=20 * MIB))
    RESERVE.do(certain)
    RESERVE.do(waived)
    told = []
    watched = headroom.watched(waived, lambda done, _total: told.append(done))
    left = [100 * MIB]
    monkeypatch.setattr(files, "free", lambda _folder: left[0])
    watched(0, 500 * MIB)  # 40 MiB are left beside j1's: half of the 30 is a look later
    left[0] = 68 * MIB
    watched(10 * MIB, 500 * MIB)
    with pytest.raises(InsufficientSpace, match=r"more than is free on .*: 8\.0 MiB are left"):
        watched(20 * MIB, 500 * MIB)
    assert told == [0, 10 * MIB]
    assert headroom.watched(certain, waived.progress) == waived.progress


def waiving(run: Run) -> Run:
    run.spec = {**run.spec, "waive": [UNCERTAIN]}
    return run
