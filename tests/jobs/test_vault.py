# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job was given is there while the job may need it, and nowhere else, and no longer."""

import asyncio
import os
import signal
import stat
from pathlib import Path
from typing import Any

import cattrs
import pytest

from tests.jobs.lab import SECONDS, Lab
from xen2kvmd.errors import Busy, InsufficientSpace
from xen2kvmd.jobs import deaths, vault
from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.status import JobState
from xen2kvmd.model import DiskKey, Operation, Request

SECRET = "hunter2"
GIVEN = {"1": SECRET}


async def submit(lab: Lab, vm: str = "web1", **spec: Any) -> str:
    status = await lab.jobs.submit(
        {"place": str(lab.place), **spec},
        operation=spec.get("operation", "migrate"), vm=vm, source="libvirtxml:/x", target="",
        owner_uid=0, secrets=GIVEN,
    )  # fmt: skip
    return status.id


def kept(lab: Lab) -> list[str]:
    folder = lab.folder / "secrets"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def all_gone(lab: Lab) -> None:
    async with asyncio.timeout(SECONDS):
        while kept(lab):
            await asyncio.sleep(0.01)


def written_to(folder: Path) -> list[Path]:
    """Return the files that hold the secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if SECRET.encode() in path.read_bytes()]


async def test_only_the_worker_reads_it_and_nothing_else_holds_it(lab: Lab) -> None:
    job = await submit(lab, one="secret", two="wait")
    await lab.step(job, "two")
    (file,) = written_to(lab.folder)
    assert file == lab.folder / "secrets" / job / "1"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]
    assert stat.S_IMODE(file.parent.parent.stat().st_mode) == 0o700
    (lab.place / "go").touch()
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    await all_gone(lab)
    assert written_to(lab.folder) == []


@pytest.mark.parametrize("end", ["fail", "bug", "die"])
async def test_a_job_that_fails_or_dies_loses_it(lab: Lab, end: str) -> None:
    job = await submit(lab, one="secret", two=end)
    assert (await lab.end(job)).state is JobState.FAILED
    await all_gone(lab)


async def test_the_worker_removes_it_where_no_daemon_is_there(lab: Lab) -> None:
    job = await submit(lab, two="wait")
    await lab.step(job, "two")
    await lab.jobs.close()
    assert kept(lab) == [job]
    (lab.place / "go").touch()
    await all_gone(lab)
    await lab.restart(closed=True)


async def test_a_job_that_is_given_up_loses_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "PAUSES", (0.0, 0.1, 0.1, 0.1))
    job = await submit(lab, three="fail", **{"undo two": "die"})
    assert (await lab.end(job)).state is JobState.INTERRUPTED
    await all_gone(lab)


async def test_a_job_cancelled_in_the_queue_loses_it(lab: Lab) -> None:
    job = await submit(lab, hold=True)
    assert kept(lab) == [job]
    await lab.jobs.cancel(job)
    assert (await lab.end(job)).state is JobState.CANCELLED
    await all_gone(lab)


async def test_a_job_that_goes_on_still_has_it(lab: Lab) -> None:
    job = await submit(lab, resume=True, two="secret, die once", **{"go on two": "secret"})
    status = await lab.end(job)
    assert status.state is JobState.SUCCEEDED, status.error_message
    await all_gone(lab)


async def test_a_queued_job_has_it_after_the_daemon_died(lab: Lab) -> None:
    job = await submit(lab, not_before=now() + 1_500_000, one="secret")
    await lab.jobs.close()
    orphan = lab.folder / "secrets" / "of-a-job-that-was-never-made"
    vault.keep(orphan, GIVEN)
    await lab.restart(closed=True)
    assert kept(lab) == [job]
    status = await lab.end(job)
    assert status.state is JobState.SUCCEEDED, status.error_message
    await all_gone(lab)


async def test_what_ended_without_a_daemon_is_swept(lab: Lab) -> None:
    """The worker was killed when all was done but this."""
    job = await submit(lab)
    await lab.end(job)
    await all_gone(lab)
    vault.keep(vault.folder_of(lab.folder / "events", job), GIVEN)
    await lab.restart()
    assert kept(lab) == []


async def test_killed_worker_without_a_daemon_leaves_it_to_the_next(lab: Lab) -> None:
    job = await submit(lab, two="wait")
    await lab.step(job, "two")
    await lab.jobs.close()
    os.kill(lab.pid(job), signal.SIGKILL)
    assert kept(lab) == [job]
    await lab.restart(closed=True)
    assert (await lab.end(job)).error_name == "Interrupted"
    await all_gone(lab)


async def test_a_job_that_is_not_made_leaves_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await submit(lab, one="wait")
    with pytest.raises(Busy):
        await submit(lab)
    (lab.folder / "jobs").rename(lab.folder / "away")
    (lab.folder / "jobs").touch()
    with pytest.raises(Exception, match="cannot be written down"):
        await submit(lab, "web2")
    assert kept(lab) == [job]
    (lab.folder / "jobs").unlink()
    (lab.folder / "away").rename(lab.folder / "jobs")

    def full(_folder: Path, _secrets: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vault, "keep", full)
    with pytest.raises(InsufficientSpace):
        await submit(lab, "web3")
    assert [status.vm for status in lab.jobs.all()] == ["web1"]


async def test_the_same_token_keeps_the_first(lab: Lab) -> None:
    for secret in ("first", "second"):
        await lab.jobs.submit(
            {"place": str(lab.place), "hold": True}, operation="plan", vm="x", source="", target="",
            owner_uid=7, job_id="u7_token", secrets={"1": secret},
        )  # fmt: skip
    assert (lab.folder / "secrets/u7_token/1").read_text() == "first"


async def test_after_the_host_was_started_anew_the_job_says_what_is_gone(lab: Lab) -> None:
    await lab.restart(worker="xen2kvmd.job")
    keys = (DiskKey("/dev/xvda2", file="1"),)
    request = Request(Operation.INSPECT, "libvirtxml:/x", keys=keys, not_before=now() + 1_000_000)
    job = await submit(lab, **cattrs.unstructure(request) | {"vm": "web1"})
    await lab.jobs.close()
    vault.forget(lab.folder / "secrets")
    await lab.restart(closed=True, worker="xen2kvmd.job")
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "InvalidOption")
    assert "The key for /dev/xvda2, which was given to this job, is gone" in status.error_message
    assert "give it again" in status.error_message
    assert "--key SELECTOR:credential:NAME" in status.error_message
