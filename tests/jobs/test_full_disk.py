# SPDX-License-Identifier: GPL-2.0-or-later
"""A job whose disk runs full goes back all the same, and none is begun, or cancelled, by half."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.lab import Lab
from xen2kvmd.errors import Failed, InsufficientSpace
from xen2kvmd.jobs import worker
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.status import Event, JobState
from xen2kvmd.jobs.step import Run, Step


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
