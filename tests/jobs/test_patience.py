# SPDX-License-Identifier: GPL-2.0-or-later
"""An undo waits for a host that is out of reach, says so, and not for ever."""

import asyncio
import os
import signal
import time

import pytest

from tests.jobs.lab import SECONDS, Lab
from xen2kvmd.errors import ConnectionFailed, Failed
from xen2kvmd.jobs import patience
from xen2kvmd.jobs.status import JobState

AWAY = {"undo two": "wait"}


async def test_undo_waits_until_the_host_is_back(lab: Lab) -> None:
    job = await lab.submit(three="fail", **AWAY)
    status = await lab.wait(job, lambda status: "waiting" in status.activity)
    assert status.activity == "waiting to undo two: kvm2 cannot be reached."
    assert (status.step, status.state) == ("rollback", JobState.RUNNING)
    assert lab.left() == [f"{job}-one", f"{job}-two"]
    (lab.place / "back").touch()
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "InvalidDisk")
    assert (lab.left(), status.findings, status.activity) == ([], (), "")


@pytest.mark.parametrize("ends", ["InvalidDisk", "Cancelled"])
async def test_host_that_shuts_down_does_not_wait_for_another(lab: Lab, ends: str) -> None:
    if ends == "Cancelled":
        job = await lab.submit(two="wait", **AWAY)
        await lab.step(job, "two")
        await lab.jobs.cancel(job)
    else:
        job = await lab.submit(three="fail", **AWAY)
    await lab.wait(job, lambda status: "waiting" in status.activity)
    lock = lab.folder / "jobs" / job / "lock"
    worker = lock.read_text()
    os.kill(int(worker), signal.SIGTERM)
    async with asyncio.timeout(SECONDS):
        while lock.read_text() in (worker, ""):  # the next one goes on undoing
            await asyncio.sleep(0.05)
    (lab.place / "back").touch()
    assert (await lab.end(job)).error_name == ends
    assert lab.left() == []


async def test_what_a_host_that_stays_away_has_is_left_behind(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_PATIENCE", "0.5")
    job = await lab.submit(three="fail", **AWAY)
    status = await lab.end(job)
    (finding,) = status.findings
    assert finding["id"] == "left-behind"
    assert finding["message"] == "Undo of step two failed: kvm2 cannot be reached."
    assert lab.left() == [f"{job}-two"]


def test_pauses_grow_and_end_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = [0.0], list[str]()

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    def away() -> None:
        raise ConnectionFailed(f"{clock[0]:g}")

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(ConnectionFailed):
        patience.patiently(away, until=200.0, waiting=told.append)
    assert list(dict.fromkeys(told)) == ["0", "1", "3", "7", "15", "31", "63", "123"]
    assert told.count("63") == 61  # each second: who shuts the host down does not wait


def test_what_waiting_does_not_mend_is_not_waited_for() -> None:
    def fail() -> None:
        raise Failed("It is broken.")

    with pytest.raises(Failed, match="It is broken"):
        patience.patiently(fail, until=patience.limit(), waiting=pytest.fail)
