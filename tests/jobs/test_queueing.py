# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that wait for each other, for their time or for a person, with real worker processes."""

import asyncio
import os
import shutil
import signal
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.jobs.lab import SECONDS, Lab
from xen2kvmd.errors import Busy, LimitExceeded, NotQueued
from xen2kvmd.jobs import registry
from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.status import JobState
from xen2kvmd.model import Limits


async def test_queue_runs_two_at_once_in_order(lab: Lab) -> None:
    jobs = [await lab.submit(vm=f"vm{number}", one="wait") for number in range(4)]
    await lab.step(jobs[0], "one")
    await lab.step(jobs[1], "one")
    assert [lab.jobs.get(job).state for job in jobs[2:]] == [JobState.QUEUED] * 2
    await lab.jobs.cancel(jobs[3])
    assert lab.jobs.get(jobs[3]).state is JobState.CANCELLED
    (lab.place / "go").touch()
    assert [(await lab.end(job)).state for job in jobs[:3]] == [JobState.SUCCEEDED] * 3


async def test_same_guest_is_not_migrated_twice_at_once(lab: Lab) -> None:
    job = await lab.submit(one="wait")
    with pytest.raises(Busy, match=job):
        await lab.submit()
    (lab.place / "go").touch()
    await lab.end(job)
    await lab.end(await lab.submit())


async def test_guest_is_not_rolled_back_while_it_is_migrated(lab: Lab) -> None:
    job = await lab.submit(one="wait")
    for operation, refused in (("rollback", True), ("finalize", True), ("plan", False)):
        asking = lab.jobs.submit(
            {"place": str(lab.place)}, operation=operation, vm="web1",
            source="libvirtxml:/x", target="default", owner_uid=0,
        )  # fmt: skip
        if refused:
            with pytest.raises(Busy, match=job):
                await asking
        else:
            await lab.end((await asking).id)
    (lab.place / "go").touch()
    await lab.end(job)


@pytest.mark.parametrize("change", [{"held": True}, {"priority": 5}, {"held": False}])
async def test_cancel_while_a_queued_job_is_arranged_is_heeded(
    lab: Lab, change: dict[str, Any]
) -> None:
    job = await lab.submit(hold=True, one="slow")
    await asyncio.gather(lab.jobs.arrange(job, **change), lab.jobs.cancel(job))
    assert (await lab.end(job)).state is JobState.CANCELLED


async def test_cancel_of_two_callers_at_once_is_one(lab: Lab) -> None:
    job = await lab.submit(hold=True)
    await asyncio.gather(lab.jobs.cancel(job), lab.jobs.cancel(job))
    assert lab.jobs.get(job).state is JobState.CANCELLED


async def test_job_that_is_being_cancelled_is_not_begun(lab: Lab) -> None:
    await lab.restart(limits=Limits(at_once=1))
    first, second = await lab.submit(one="wait"), await lab.submit(vm="web2")
    await lab.step(first, "one")
    cancelling = asyncio.ensure_future(lab.jobs.cancel(second))
    await asyncio.sleep(0)  # it has begun to
    lab.jobs.limit(Limits(at_once=2))  # there is room for it now
    await cancelling
    assert lab.jobs.get(second).state is JobState.CANCELLED
    assert lab.jobs.get(second).started_at == 0
    (lab.place / "go").touch()
    await lab.end(first)


async def test_limit_of_jobs(lab: Lab) -> None:
    await lab.restart(most=2)
    jobs = [await lab.submit(vm=f"vm{number}", one="wait") for number in range(2)]
    with pytest.raises(LimitExceeded):
        await lab.submit(vm="vm3")
    (lab.place / "go").touch()
    for job in jobs:
        await lab.end(job)


async def test_held_job_begins_when_it_is_released_and_a_restart_keeps_it(lab: Lab) -> None:
    job = await lab.submit(hold=True)
    other = await lab.submit(vm="web2")
    await lab.end(other)
    await lab.restart()
    assert (lab.jobs.get(job).state, lab.jobs.get(job).held) == (JobState.QUEUED, True)
    await lab.jobs.arrange(job, held=False)
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    with pytest.raises(NotQueued):
        await lab.jobs.arrange(job, held=True)


async def test_job_waits_for_its_time(lab: Lab) -> None:
    job = await lab.submit(not_before=now() + 700_000)
    await asyncio.sleep(0.3)
    assert lab.jobs.get(job).state is JobState.QUEUED
    status = await lab.end(job)
    assert status.started_at >= status.not_before


async def test_priority_is_kept_and_heeded(lab: Lab) -> None:
    await lab.restart(limits=Limits(at_once=1))
    first = await lab.submit(one="slow")
    await lab.step(first, "one")
    second, third = await lab.submit(vm="web2"), await lab.submit(vm="web3")
    await lab.jobs.arrange(third, priority=7)
    await lab.restart(limits=Limits(at_once=1))
    assert lab.jobs.get(third).priority == 7
    await lab.jobs.cancel(first)
    ended = await lab.end(second)
    assert lab.jobs.get(third).finished_at <= ended.started_at


async def test_other_limits_are_heeded_at_once(lab: Lab) -> None:
    await lab.restart(limits=Limits(at_once=1))
    first, second = await lab.submit(one="slow"), await lab.submit(vm="web2", one="slow")
    await lab.step(first, "one")
    assert lab.jobs.get(second).state is JobState.QUEUED
    lab.jobs.limit(Limits(at_once=2))
    await lab.step(second, "one")
    worker = lab.pid(first)  # which the lab would not find when the job is forgotten
    for job in (first, second):
        await lab.jobs.cancel(job)
        await lab.end(job)
    with suppress(ChildProcessError):
        os.waitpid(worker, 0)
    lab.jobs.limit(Limits(kept=1))
    async with asyncio.timeout(SECONDS):
        while len(lab.jobs.all()) > 1:
            await asyncio.sleep(0.01)
    assert [status.id for status in lab.jobs.all()] == [second]
    assert [path.name for path in (lab.folder / "jobs").iterdir()] == [second]


async def test_the_queue_goes_on_when_a_job_is_removed_under_its_worker(lab: Lab) -> None:
    await lab.restart(limits=Limits(at_once=1))
    first, second = await lab.submit(one="wait"), await lab.submit(vm="web2")
    await lab.step(first, "one")
    worker = lab.pid(first)
    os.kill(worker, signal.SIGSTOP)  # it writes no more
    shutil.rmtree(lab.folder / "jobs" / first)
    os.kill(worker, signal.SIGKILL)
    assert (await lab.end(second)).state is JobState.SUCCEEDED


async def test_job_whose_time_comes_by_a_step_of_the_clock_begins(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.LONGEST_SLEEP <= 60
    monkeypatch.setattr(registry, "LONGEST_SLEEP", 0.1)
    job = await lab.submit(not_before=now() + 600_000_000)
    monkeypatch.setattr(time, "time_ns", lambda: time.clock_gettime_ns(0) + 700 * 10**9)
    assert (await lab.end(job)).state is JobState.SUCCEEDED
