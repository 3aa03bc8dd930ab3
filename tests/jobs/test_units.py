# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs whose workers systemd starts: what it does counts, not what becomes of systemctl.

A script stands for systemctl here; tests/systemd has the real one.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.jobs.lab import SECONDS, Lab
from xen2kvmd.jobs import deaths, journal, workers
from xen2kvmd.jobs.status import JobState
from xen2kvmd.model import Limits

SYSTEMCTL = """#!/bin/sh
for unit; do :; done  # the last argument
id=${{unit#xen2kvm-job@}} id=${{id%.service}}
cd {folder} || exit
case $1 in
start)
    echo "$id" >>asked
    {start}
    ;;
show)
    read pid <"pid-$id"
    grep -q ') [^Z]' "/proc/$pid/stat" || pid=0  # it has ended
    echo "MainPID=$pid"
    {show}
    ;;
esac
"""
RUN = """setsid {python} -m tests.jobs.toy "$id" --jobs {folder}/jobs --events {folder}/events \
        </dev/null >/dev/null 2>&1 &
    echo $! >"pid-$id"
"""


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PAUSES", (0.0, 0.1, 0.1))
    monkeypatch.setattr(workers, "LOOK", 0.05)
    monkeypatch.setattr(deaths, "RETRY", 0.3)


def systemctl(lab: Lab, monkeypatch: pytest.MonkeyPatch, *, start: str, show: str = "") -> None:
    """Put a systemctl before all others that does this; the word run starts the worker."""
    script = lab.folder / "bin/systemctl"
    script.parent.mkdir(exist_ok=True)
    run = RUN.format(folder=lab.folder, python=sys.executable)
    new = script.with_suffix(".new")
    new.write_text(SYSTEMCTL.format(folder=lab.folder, start=start.replace("run", run), show=show))
    new.chmod(0o755)
    new.replace(script)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")


def asked(lab: Lab) -> int:
    path: Path = lab.folder / "asked"
    return len(path.read_text().split()) if path.exists() else 0


def kinds(lab: Lab, job: str) -> list[str]:
    return [event["type"] for event in journal.read(lab.folder / "jobs" / job / "journal")]


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 1", ":"])
async def test_worker_that_runs_is_followed_whatever_became_of_systemctl(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    systemctl(lab, monkeypatch, start=f"run\n{end}")
    await lab.restart(in_units=True)
    job = await lab.submit()
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    assert (asked(lab), kinds(lab, job).count("started")) == (1, 1)
    assert kinds(lab, job)[-1] == "ended"


async def test_worker_that_nobody_can_see_yet_is_not_told_as_failed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither start nor show are answered; the lock tells that the job has a worker."""
    systemctl(lab, monkeypatch, start="[ -e pid-$id ] || { run\nsleep 2; }\nexit 1", show="exit 1")
    await lab.restart(in_units=True)
    job = await lab.submit(one="wait")
    await lab.step(job, "one")
    (lab.place / "go").touch()
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    assert kinds(lab, job).count("ended") == 1


async def test_worker_that_nobody_saw_and_that_died_is_undone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = "[ $(wc -l <asked) -gt 3 ]"
    start = f"[ -e pid-$id ] && ! {later} && exit 1\nrun\nsleep 2\n{later}"
    systemctl(lab, monkeypatch, start=start, show=later)
    await lab.restart(in_units=True)
    (lab.folder / "events").unlink()  # nor did anybody hear it
    job = await lab.submit(two="die")
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "Interrupted")
    assert lab.left() == []


async def test_worker_that_systemd_has_yet_to_start_is_waited_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl(lab, monkeypatch, start="run", show="[ -e started ] || echo Job=7")
    await lab.restart(in_units=True)
    job = await lab.submit(hold=True)
    await lab.jobs.arrange(job, held=False)
    await lab.end(job)
    await asyncio.sleep(0.2)
    assert asked(lab) == 1
    (lab.folder / "started").touch()


async def test_refused_job_fails_and_the_queue_goes_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl(lab, monkeypatch, start="if [ $(wc -l <asked) -le 3 ]; then exit 1; fi\nrun")
    await lab.restart(in_units=True, limits=Limits(at_once=1))
    first, second = await lab.submit(), await lab.submit(vm="web2")
    assert (await lab.end(first)).error_message.startswith("systemctl failed with exit code 1")
    assert (await lab.end(second)).state is JobState.SUCCEEDED


async def test_job_that_has_begun_asks_again_for_a_worker(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl(lab, monkeypatch, start="case $(wc -l <asked) in 2|3|4) exit 1;; esac\nrun")
    await lab.restart(in_units=True)
    status = await lab.end(await lab.submit(two="die once"))
    assert (status.state, status.error_name) == (JobState.FAILED, "Interrupted")
    assert (lab.left(), asked(lab)) == ([], 5)


async def test_cancel_asks_for_a_worker_at_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "RETRY", 600.0)
    start = "[ $(wc -l <asked) -gt 1 ] && [ ! -e mended ] && exit 1\nrun"
    systemctl(lab, monkeypatch, start=start)
    await lab.restart(in_units=True)
    job = await lab.submit(two="die once")
    async with asyncio.timeout(SECONDS):
        while asked(lab) < 1 + len(workers.PAUSES):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    status = lab.jobs.get(job)
    assert status.state is JobState.RUNNING
    assert status.activity.startswith("waits for a process to go on in: systemctl failed with")
    (lab.folder / "mended").touch()
    await lab.jobs.cancel(job)
    assert (await lab.end(job)).state.final
    assert lab.left() == []


async def test_process_that_systemd_cannot_execute_is_told_and_is_no_dead_worker(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl(lab, monkeypatch, start="[ -e mended ] || exit 0\nrun")
    said = "Failed at step EXEC spawning /usr/bin/python3: No such file or directory"
    journalctl = lab.folder / "bin/journalctl"
    journalctl.write_text(f"#!/bin/sh\n[ $1 = --sync ] || echo '{said}'\n")
    journalctl.chmod(0o755)
    await lab.restart(in_units=True)
    job = await lab.submit()
    status = await lab.end(job)
    assert (status.state, status.error_name) == (JobState.FAILED, "Failed")
    assert f"systemd could not execute the job's process: {said}." in status.error_message
    assert not (lab.folder / "jobs" / job / "deaths").exists()
    assert asked(lab) == 1


async def test_nothing_begins_once_the_daemon_is_told_to_end(lab: Lab) -> None:
    lab.jobs.rest()
    job = await lab.submit()
    await asyncio.sleep(0.3)
    assert kinds(lab, job) == []
    await lab.restart()
    assert (await lab.end(job)).state is JobState.SUCCEEDED


async def test_refusal_while_the_daemon_ends_is_no_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl(lab, monkeypatch, start="exit 1")
    await lab.restart(in_units=True)
    job = await lab.submit()
    lab.jobs.rest()
    async with asyncio.timeout(SECONDS):
        while asked(lab) < 3:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert lab.jobs.get(job).state is JobState.QUEUED
