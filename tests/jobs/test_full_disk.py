# SPDX-License-Identifier: GPL-2.0-or-later
"""A job whose disk runs full goes back all the same, and none is begun, or cancelled, by half."""

import asyncio
import errno
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
import pytest_asyncio

from tests.jobs.lab import Lab
from xen2kvmd.errors import Failed, InsufficientSpace
from xen2kvmd.jobs import deaths, worker
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.status import Event, JobState
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.jobs.store import Store


def test_scratch_files_make_room_for_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "events", "1")
    run = Run("1", tmp_path, {}, journal, sender, cancelled=lambda: False)
    undone: list[str] = []
    step = Step("copy", lambda _run: None, lambda _run: undone.append("copy"))
    overlay, append = run.scratch / "xvda.qcow2", journal.append
    overlay.write_bytes(bytes(1 << 20))
    run.record("step-begun", step="copy")

    def while_full(kind: str, **data: Any) -> Event:
        if overlay.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return append(kind, **data)

    monkeypatch.setattr(journal, "append", while_full)
    worker._back(run, [step], Failed("The disk is full."), shutdown=lambda: False)

    assert undone == ["copy"]
    assert not overlay.exists()
    assert [event["type"] for event in journal.events] == ["step-begun", "rollback", "step-undone"]
    journal.close()
    sender.close()


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the disk be full for the block."""

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        yield


async def test_job_that_has_no_room_leaves_nothing_and_its_token_works_later(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit() -> Any:
        return lab.jobs.submit(
            {"place": str(lab.place)}, operation="plan", vm="x", source="", target="",
            owner_uid=7, job_id="u7_token",
        )  # fmt: skip

    with (
        full(monkeypatch),
        pytest.raises(InsufficientSpace, match=f"no room left in {lab.folder}/jobs"),
    ):
        await submit()
    assert list((lab.folder / "jobs").iterdir()) == []
    await submit()
    assert (await lab.end("u7_token")).state is JobState.SUCCEEDED


async def test_queued_job_that_cannot_be_cancelled_for_want_of_room_stays_queued(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await lab.submit(hold=True)
    for asked in (lab.jobs.cancel(job), lab.jobs.arrange(job, held=False)):
        with full(monkeypatch), pytest.raises(InsufficientSpace):
            await asked
    assert lab.jobs.get(job).state is JobState.QUEUED
    await lab.jobs.arrange(job, held=False)
    assert (await lab.end(job)).state is JobState.SUCCEEDED


@pytest_asyncio.fixture
async def small(lab: Lab) -> AsyncIterator[Path]:
    """Let the lab keep its jobs on a disk of a megabyte of its own."""
    folder = lab.folder / "jobs"
    await lab.jobs.close()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", folder], check=True)
    await lab.restart(closed=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, job: str, *, journal: bool) -> None:
    """Leave no room on the disk; journal says whether the page that the journal has is full too."""
    with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    if journal:
        with (folder / job / "journal").open("r+") as stream:
            events = stream.read().splitlines()
            more = {"seq": len(events) + 1, "type": "filler", "text": ""}
            room = -(stream.tell() + len(json.dumps(more)) + 1) % 4096
            stream.write(json.dumps(more | {"text": "x" * room}) + "\n")


async def strand(lab: Lab, folder: Path, *, journal: bool = True) -> str:
    """Return a job whose worker was killed while the disk is full."""
    job = await lab.submit(two="wait")
    await lab.step(job, "two")
    fill(folder, job, journal=journal)
    os.kill(lab.pid(job), signal.SIGKILL)
    return job


async def waits(lab: Lab, job: str) -> None:
    await lab.wait(job, lambda status: status.activity.startswith("waits for a process"))


async def test_job_whose_workers_cannot_write_waits_for_room_and_is_undone(
    lab: Lab, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "RETRY", 0.05)
    monkeypatch.setattr(deaths, "SILENT", 3)
    job = await strand(lab, small)
    await waits(lab, job)
    await asyncio.sleep(3)  # more than ATTEMPTS workers try, and more than SILENT
    assert lab.jobs.get(job).state is JobState.RUNNING
    assert not any(new and "(1 of 3)" in new.activity for _, new in lab.seen)  # none is counted
    (small / "ballast").unlink()
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "Interrupted")
    assert lab.left() == []


async def test_job_that_cannot_even_be_given_up_for_want_of_room_is_undone_once_there_is(
    lab: Lab, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "RETRY", 1.0)
    monkeypatch.setattr(deaths, "PAUSES", ())
    job = await strand(lab, small)
    await lab.wait(job, lambda status: "There is no room left" in status.activity)
    (small / "ballast").unlink()
    assert (await lab.end(job)).state is JobState.FAILED
    assert lab.left() == []


async def test_job_whose_workers_write_a_little_is_not_given_up_in_seconds(
    lab: Lab, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "RETRY", 1.0)
    monkeypatch.setattr(deaths, "PAUSES", (0.0, 1.0, 600.0))
    job = await strand(lab, small, journal=False)
    await waits(lab, job)
    (small / "ballast").unlink()
    assert (await lab.end(job)).state is JobState.FAILED
    assert lab.left() == []


async def test_cancel_of_a_job_that_waits_for_room_is_heeded(
    lab: Lab, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "RETRY", 600.0)
    job = await strand(lab, small)
    await waits(lab, job)
    (small / "ballast").unlink()
    await lab.jobs.cancel(job)
    assert (await lab.end(job)).state is JobState.CANCELLED
    assert lab.left() == []


async def test_daemon_that_starts_while_the_disk_is_full_follows_all_jobs(
    lab: Lab, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "RETRY", 1.0)
    monkeypatch.setattr(deaths, "PAUSES", ())
    job = await strand(lab, small)
    await waits(lab, job)
    await lab.restart()
    assert lab.jobs.get(job).state is JobState.RUNNING
    (small / "ballast").unlink()
    assert (await lab.end(job)).state is JobState.FAILED


async def test_daemon_that_starts_while_the_disk_is_full_leaves_the_queue_as_it_is(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise InsufficientSpace("There is no room left.")

    monkeypatch.setattr(deaths, "RETRY", 0.1)
    job = await lab.submit(hold=True)
    with monkeypatch.context() as then:
        then.setattr(Store, "lock", full)
        await lab.restart()
    await asyncio.sleep(0.5)
    status = lab.jobs.get(job)
    assert (status.state, status.held) == (JobState.QUEUED, True)
    await lab.jobs.cancel(job)
