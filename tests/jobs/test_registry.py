# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs from the daemon's side, with real worker processes."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.lab import SECONDS, Lab
from xen2kvmd.errors import Busy, JobNotFound, NotCancellable, NotFinished, NotSettled
from xen2kvmd.jobs import journal
from xen2kvmd.jobs.status import JobState
from xen2kvmd.system import files


async def test_job_runs_to_its_end(lab: Lab) -> None:
    job = await lab.submit()
    status = await lab.end(job)
    assert (status.state, status.progress, status.error_name) == (JobState.SUCCEEDED, 1.0, "")
    assert status.steps_done == ("one", "two", "three")
    assert len(lab.left()) == 3
    kinds = [event["type"] for event in journal.read(lab.folder / "jobs" / job / "journal")]
    assert kinds[-2:] == ["finishing", "ended"]  # from then on no cancel is taken
    report = json.loads(await lab.jobs.file(job, "report.json"))
    assert report["state"] == "succeeded"
    assert [step["outcome"] for step in report["steps"]] == ["done"] * 3


@pytest.mark.parametrize("step", ["one", "two", "three"])
async def test_failure_in_each_step_is_undone(lab: Lab, step: str) -> None:
    status = await lab.end(await lab.submit(**{step: "fail"}))
    assert (status.state, status.error_name) == (JobState.FAILED, "InvalidDisk")
    assert status.error_message == "The toy is broken.\nMend it."
    assert lab.left() == []


async def test_what_cannot_be_closed_does_not_hide_the_failure(lab: Lab) -> None:
    status = await lab.end(await lab.submit(two="keep broken"))
    assert (status.error_name, lab.left()) == ("InvalidDisk", [])


async def test_bug_is_internal_and_undone(lab: Lab) -> None:
    job = await lab.submit(two="bug")
    status = await lab.end(job)
    assert (status.error_name, lab.left()) == ("Internal", [])
    assert "ValueError: a bug" in await lab.jobs.file(job, "log")
    assert "a bug" not in status.error_message  # it may quote what was read in a guest
    assert json.loads(await lab.jobs.file(job, "report.json"))["error_said"] == "a bug"


@pytest.mark.parametrize("step", ["one", "two", "three"])
async def test_worker_killed_in_each_step_is_undone_by_the_next(lab: Lab, step: str) -> None:
    status = await lab.end(await lab.submit(**{step: "die"}))
    assert (status.state, status.error_name) == (JobState.FAILED, "Interrupted")
    assert lab.left() == []


@pytest.mark.parametrize("work", ["slow", "child"])
@pytest.mark.parametrize("step", ["one", "two"])
async def test_cancel_in_a_step_is_undone(lab: Lab, step: str, work: str) -> None:
    job = await lab.submit(**{step: work})
    await lab.step(job, step)
    await lab.jobs.cancel(job)
    assert lab.jobs.get(job).state is JobState.CANCELLING
    await lab.jobs.cancel(job)  # twice is once
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.CANCELLED, "Cancelled")
    assert lab.left() == []


async def test_step_past_no_return_refuses_cancel(lab: Lab) -> None:
    job = await lab.submit(three="wait")
    status = await lab.step(job, "three")
    assert not status.cancellable
    with pytest.raises(NotCancellable):
        await lab.jobs.cancel(job)
    (lab.place / "go").touch()
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    with pytest.raises(NotCancellable):
        await lab.jobs.cancel(job)


async def test_cancel_that_comes_too_late_is_refused_even_if_the_daemon_does_not_know(
    lab: Lab,
) -> None:
    job = await lab.submit(two="wait", three="wait again")
    await lab.step(job, "two")
    (lab.folder / "events").unlink()  # it hears nothing from now on
    (lab.place / "go").touch()
    async with asyncio.timeout(SECONDS):
        while not (lab.place / f"{job}-three").exists():
            await asyncio.sleep(0.01)
    assert lab.jobs.get(job).cancellable
    with pytest.raises(NotCancellable, match="step 'three'"):
        await lab.jobs.cancel(job)
    assert (lab.jobs.get(job).state, lab.jobs.get(job).cancellable) == (JobState.RUNNING, False)
    (lab.place / "go again").touch()
    assert (await lab.end(job)).state is JobState.SUCCEEDED


async def test_cancel_before_a_step_of_no_return_keeps_it_from_beginning(lab: Lab) -> None:
    """Its signal may come late: the mark decides, and whoever writes first has the journal."""
    job = await lab.submit(two="wait")
    await lab.step(job, "two")
    folder = lab.folder / "jobs" / job
    with files.locked(folder / "journal"):
        (lab.place / "go").touch()
        await asyncio.sleep(0.5)
        assert not (lab.place / f"{job}-three").exists()
        (folder / "cancel").touch()
    assert (await lab.end(job)).state is JobState.CANCELLED
    assert lab.left() == []


async def test_daemon_restart_costs_a_job_nothing(lab: Lab) -> None:
    job = await lab.submit(two="wait")
    await lab.step(job, "two")
    worker = lab.pid(job)
    await lab.restart()
    assert lab.jobs.get(job).step == "two"
    (lab.place / "go").touch()
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    assert lab.pid(job) == worker


async def test_daemon_restart_while_a_worker_starts_costs_a_job_nothing(lab: Lab) -> None:
    job = await lab.submit(one="wait")
    for _ in range(3):
        await lab.restart()  # each begins a worker of its own: one gets the job
    await lab.step(job, "one")
    (lab.place / "go").touch()
    status = await lab.end(job)
    assert (status.state, status.steps_done) == (JobState.SUCCEEDED, ("one", "two", "three"))
    kinds = [event["type"] for event in journal.read(lab.folder / "jobs" / job / "journal")]
    assert (kinds.count("started"), kinds.count("ended")) == (1, 1)
    assert not (lab.folder / "jobs" / job / "deaths").exists()


async def test_next_daemon_waits_for_the_jobs_that_the_last_one_still_makes(lab: Lab) -> None:
    last = lab.jobs
    lab.jobs = lab.another()
    starting = asyncio.ensure_future(lab.jobs.start())
    await asyncio.sleep(0.2)
    made = await last.submit(
        {"place": str(lab.place)}, operation="plan", vm="x", source="", target="", owner_uid=0
    )
    assert not starting.done()
    await last.close()
    await starting
    assert (await lab.end(made.id)).state is JobState.SUCCEEDED


async def test_worker_that_comes_late_does_nothing(lab: Lab) -> None:
    job = await lab.submit(hold=True)
    await lab.jobs.cancel(job)
    argv = [sys.executable, "-m", "tests.jobs.toy", job, "--jobs", str(lab.folder / "jobs")]
    late = await asyncio.create_subprocess_exec(*argv)
    assert await late.wait() == 0
    assert not (lab.folder / "jobs" / job / "history").exists()
    assert [event["type"] for event in journal.read(lab.folder / "jobs" / job / "journal")] == [
        "ended"
    ]


async def test_job_that_ended_without_a_daemon_is_shown(lab: Lab) -> None:
    job = await lab.submit(two="wait")
    await lab.step(job, "two")
    pid = lab.pid(job)
    await lab.jobs.close()
    (lab.place / "go").touch()
    os.waitpid(pid, 0)
    await lab.restart(closed=True)
    assert lab.jobs.get(job).state is JobState.SUCCEEDED


async def test_job_whose_worker_died_without_a_daemon_is_undone(lab: Lab) -> None:
    job = await lab.submit(two="wait")
    await lab.step(job, "two")
    pid = lab.pid(job)
    await lab.jobs.close()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    await lab.restart(closed=True)
    assert (await lab.end(job)).error_name == "Interrupted"
    assert lab.left() == []


async def test_job_that_cannot_be_read_is_left_alone(lab: Lab) -> None:
    job = await lab.submit()
    await lab.end(job)
    (lab.folder / "jobs" / job / "job.json").write_text("{}")
    (lab.folder / "jobs" / job / "last").unlink()
    (lab.folder / "jobs" / "half").mkdir()
    (lab.folder / "jobs" / "old.tar").touch()
    await lab.restart()
    assert lab.jobs.all() == ()
    assert (lab.folder / "jobs" / job / "journal").exists()
    assert not (lab.folder / "jobs" / "half").exists()


async def test_undo_that_fails_is_told(lab: Lab) -> None:
    job = await lab.submit(three="fail", **{"undo two": "fail"})
    status = await lab.end(job)
    assert status.error_name == "InvalidDisk"
    (finding,) = status.findings
    assert finding["id"] == "left-behind"
    assert "the disk is on fire" in finding["message"]
    assert lab.left() == [f"{job}-two"]
    with pytest.raises(NotSettled, match="could not undo all"):
        await lab.jobs.remove(job)
    await lab.jobs.remove(job, force=True)


async def test_same_id_is_the_same_job(lab: Lab) -> None:
    def submit() -> Any:
        return lab.jobs.submit(
            {"place": str(lab.place)}, operation="plan", vm="x", source="", target="",
            owner_uid=7, job_id="u7_token",
        )  # fmt: skip

    first, second = await asyncio.gather(submit(), submit())
    assert first.id == second.id == "u7_token"
    await lab.end("u7_token")
    assert (await submit()).state is JobState.SUCCEEDED
    assert len([new for old, new in lab.seen if old is None]) == 1


async def test_remove_forgets_what_is_over(lab: Lab) -> None:
    job = await lab.submit(one="wait")
    with pytest.raises(NotFinished):
        await lab.jobs.remove(job)
    (lab.place / "go").touch()
    await lab.end(job)
    worker = Path(f"/proc/{lab.pid(job)}")
    with pytest.raises(NotSettled, match="neither finalized nor rolled back"):
        await lab.jobs.remove(job)
    await lab.jobs.remove(job, force=True)
    async with asyncio.timeout(SECONDS):
        while worker.exists():
            await asyncio.sleep(0.01)
    assert not (lab.folder / "jobs" / job).exists()
    with pytest.raises(JobNotFound):
        lab.jobs.get(job)
    assert lab.seen[-1][1] is None


async def test_a_job_that_is_settled_stays(lab: Lab) -> None:
    migration = await lab.submit()
    await lab.end(migration)
    settling = await lab.submit(operation="rollback", migration=migration, one="wait")
    with pytest.raises(Busy, match=settling):
        await lab.jobs.remove(migration, force=True)
    (lab.place / "go").touch()
    await lab.end(settling)
    await lab.jobs.remove(migration, force=True)


async def test_progress_comes_by_datagram_and_never_goes_back(lab: Lab) -> None:
    job = await lab.submit(one="slow")
    await lab.wait(job, lambda status: status.bytes_done > 0 and status.rate > 0)
    await lab.jobs.cancel(job)
    await lab.end(job)
    shown = [new.progress for _, new in lab.seen if new]
    assert shown == sorted(shown)
    assert any(new.expected_end_at for _, new in lab.seen if new)


async def test_foreign_datagrams_are_ignored(lab: Lab) -> None:
    job = await lab.submit(one="wait")
    await lab.step(job, "one")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for data in (b"\xff", b"[]", b'{"job": 3}', b'{"job": "nobody", "event": {}}'):
            stranger.sendto(data, str(lab.folder / "events"))
    (lab.place / "go").touch()
    assert (await lab.end(job)).state is JobState.SUCCEEDED
