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
from xen2kvmd.steps import backup_disks, context, reserve, turn
from xen2kvmd.steps.operations import NATIVE, STEPS
from xen2kvmd.steps.reserve import RESERVE
from xen2kvmd.steps.turn import Turn
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets.room import Need, store_of

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

        def make(name: str, *, size: int = 60 * MIB, pool: str = "", **notes: Any) -> Run:
            folder = tmp_path / "jobs" / name
            folder.mkdir(parents=True)
            journal, sender = Journal(folder / "journal"), Sender(tmp_path / "socket", name)
            opened.callback(journal.close)
            opened.callback(sender.close)
            spec = {"operation": "migrate", "vm": name, "source": "test:///default"}
            spec |= {"pool": pool} if pool else {"directory": str(target)}
            run = Run(name, folder, spec, journal, sender, cancelled=lambda: False)
            disk = SourceDisk("xvda", "/src/xvda", "raw", size, size)
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
    last.keep(first.folder, record.status())
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
    first.note(backup_disks.DEVS, ["xvda"])
    first.note(backup_disks.PLACE, {"folder": str(folder), "prefix": "", "pool": ""})
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
