# SPDX-License-Identifier: GPL-2.0-or-later
"""Workers that die while they undo, again and again, or before they write anything down.

Where the disk takes nothing, test_full_disk.py shows that they are waited for without end.
"""

import os
import signal

import pytest

from tests.jobs.lab import Lab
from xen2kvmd.jobs import deaths
from xen2kvmd.jobs.deaths import ATTEMPTS
from xen2kvmd.jobs.status import JobState

DIE = "TOY_DIES_AT_ONCE"


async def test_death_while_undoing_is_taken_up(lab: Lab) -> None:
    job = await lab.submit(three="fail", **{"undo two": "die once"})
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "InvalidDisk")
    assert lab.left() == [f"{job}-two.died"]


async def test_worker_that_always_dies_is_given_up(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "PAUSES", (0.0, 0.1, 0.1, 0.1))
    job = await lab.submit(three="fail", **{"undo two": "die"})
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.INTERRUPTED, "Interrupted")
    assert f"{ATTEMPTS} workers" in status.error_message
    assert "web1: interrupted" in await lab.jobs.file(job, "report.html")


async def test_daemon_that_restarts_between_two_workers_counts_no_death_twice(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "PAUSES", (600.0,))
    job = await lab.submit(three="fail", **{"undo two": "die once"})
    await lab.wait(job, lambda status: status.activity.startswith("waits for a process"))
    await lab.restart()
    assert (await lab.end(job)).state is JobState.FAILED
    assert lab.left() == [f"{job}-two.died"]


async def stranded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a job whose worker was killed, and whose next ones die at once."""
    monkeypatch.setattr(deaths, "RETRY", 0.05)
    job = await lab.submit(two="wait")
    await lab.step(job, "two")
    monkeypatch.setenv(DIE, "1")
    os.kill(lab.pid(job), signal.SIGKILL)
    return job


async def test_job_is_given_up_after_so_many_and_says_what_to_do(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "SILENT", 3)
    job = await stranded(lab, monkeypatch)
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.INTERRUPTED, "Interrupted")
    assert "3 workers of this job died before they could write" in status.error_message
    assert f"journalctl -u xen2kvm-job@{job}" in status.error_message
    told = {new.activity for _, new in lab.seen if new and "before it could" in new.activity}
    assert sorted(words.partition("(")[2][:6] for words in told) == ["1 of 3", "2 of 3"]
    assert not (lab.folder / "jobs" / job / "room").exists()
    assert lab.left() == [f"{job}-one", f"{job}-two"]
    assert "Not all could be undone" in await lab.jobs.file(job, "report.html")


async def test_job_is_undone_once_what_killed_them_is_gone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await stranded(lab, monkeypatch)
    await lab.wait(job, lambda status: f"(2 of {deaths.SILENT})" in status.activity)
    monkeypatch.delenv(DIE)
    assert (await lab.end(job)).state is JobState.FAILED
    assert lab.left() == []
