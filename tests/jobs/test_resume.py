# SPDX-License-Identifier: GPL-2.0-or-later
"""A job that is to go on does so where its process died, and is undone if that does not help."""

import os
import signal

import pytest

from tests.jobs.lab import Lab
from xen2kvmd.jobs import deaths
from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.jobs.worker import RESUMED


def history(lab: Lab, job: str) -> list[str]:
    return (lab.folder / "jobs" / job / "history").read_text().splitlines()


def resumed(status: JobStatus) -> list[str]:
    return [found["message"] for found in status.findings if found["id"] == "resumed"]


async def test_step_that_can_goes_on_and_what_is_done_stays(lab: Lab) -> None:
    job = await lab.submit(resume=True, two="die")
    status = await lab.end(job)
    assert status.state is JobState.SUCCEEDED
    assert history(lab, job) == ["do one", "do two", "go on two", "do three"]
    assert lab.left() == [f"{job}-one", f"{job}-three", f"{job}-two"]
    assert resumed(status) == [
        "The job's process ended in step two; another one went on from there."
    ]


async def test_step_that_cannot_go_on_is_undone_and_done_again(lab: Lab) -> None:
    job = await lab.submit(resume=True, three="die once")
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    assert history(lab, job) == ["do one", "do two", "do three", "undo three", "do three"]


async def test_job_that_dies_again_and_again_is_undone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "PAUSES", (0.0, 0.1, 0.1, 0.1))
    job = await lab.submit(resume=True, two="die", **{"go on two": "die"})
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "Interrupted")
    assert len(resumed(status)) == RESUMED
    assert history(lab, job)[-2:] == ["undo two", "undo one"]
    assert lab.left() == []


async def test_failure_after_going_on_undoes_all(lab: Lab) -> None:
    job = await lab.submit(resume=True, one="die once", three="fail")
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "InvalidDisk")
    assert history(lab, job)[-3:] == ["undo three", "undo two", "undo one"]
    assert lab.left() == []


async def test_death_while_undoing_does_not_go_on(lab: Lab) -> None:
    job = await lab.submit(resume=True, three="fail", **{"undo two": "die once"})
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "InvalidDisk")
    assert resumed(status) == []
    assert lab.left() == [f"{job}-two.died"]


async def test_cancel_of_a_job_that_went_on_undoes_all(lab: Lab) -> None:
    job = await lab.submit(resume=True, two="wait", **{"go on two": "wait"})
    await lab.step(job, "two")
    os.kill(lab.pid(job), signal.SIGKILL)
    await lab.wait(job, lambda status: bool(resumed(status)) and status.step == "two")
    await lab.jobs.cancel(job)
    assert (await lab.end(job)).state is JobState.CANCELLED
    assert lab.left() == []


async def test_a_final_step_that_fails_undoes_nothing(lab: Lab) -> None:
    job = await lab.submit(operation="finalize", three="fail")
    status = await lab.end(job)
    assert status.state is JobState.SUCCEEDED
    assert [found["id"] for found in status.findings] == ["left-behind"]
    assert lab.left() == [f"{job}-one", f"{job}-three", f"{job}-two"]


async def test_a_final_step_is_finished_and_nothing_is_undone(lab: Lab) -> None:
    job = await lab.submit(operation="finalize", three="die once")
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    assert lab.left() == [f"{job}-one", f"{job}-three", f"{job}-two"]


@pytest.mark.parametrize("resume", [False, True])
async def test_cancel_between_two_workers_undoes_all_and_is_a_cancel(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, *, resume: bool
) -> None:
    monkeypatch.setattr(deaths, "PAUSES", (600.0,))
    job = await lab.submit(resume=resume, two="die")
    await lab.wait(job, lambda status: status.activity.startswith("waits for a process"))
    await lab.jobs.cancel(job)
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.CANCELLED, "Cancelled")
    assert history(lab, job)[-2:] == ["undo two", "undo one"]
    assert (lab.left(), resumed(status)) == ([], [])
