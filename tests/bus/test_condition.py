# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd is told what the service does, as often as that changes, and not more often."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bus.client import CallError, Client
from tests.bus.running import Daemon, running_bus, running_daemon
from xen2kvmd.bus.condition import PERIOD, describe
from xen2kvmd.jobs.status import JobState, JobStatus

MISTAKE = (
    "; the configuration has a mistake: /etc/xen2kvm/xen2kvmd.conf:7: MaxJobs=many is no number."
)


class Heard:
    """What systemd was told."""

    def __init__(self, bound: socket.socket, path: str) -> None:
        self._socket = bound
        self.path = path

    def next(self) -> str:
        return self._socket.recv(1000).decode().removeprefix("READY=1\n").removeprefix("STATUS=")

    def nothing_for(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self._socket.recv(1000)
        self._socket.settimeout(10)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Heard]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(path)
        bound.settimeout(10)
        yield Heard(bound, path)


def told_daemon(address: str, library: str, systemd: Heard) -> AbstractContextManager[Daemon]:
    """Run the service; it alone hears of the socket, for dbus-daemon would tell it, too."""
    return running_daemon(address, library, NOTIFY_SOCKET=systemd.path)


def job(state: JobState, **other: Any) -> JobStatus:
    return replace(JobStatus("a", "migrate", "vm", "xen:///", "", 0, 1), state=state, **other)


def test_jobs_that_are_not_over_are_counted() -> None:
    jobs = [
        *(job(state) for state in JobState),  # running and cancelling: a worker has both
        *[job(JobState.QUEUED)] * 2,
        job(JobState.QUEUED, held=True),
    ]
    assert describe(jobs) == "Migrations: 2 running, 3 queued, 1 held"
    assert describe([*jobs, job(JobState.SUCCEEDED, operation="plan")]) == describe(jobs)
    assert describe([job(JobState.RUNNING, operation="plan")]) == "Jobs: 1 running"
    assert describe([job(JobState.SUCCEEDED)]) == "Ready"


async def test_the_line_follows_the_jobs_and_no_progress(library: str, systemd: Heard) -> None:
    with running_bus() as (address, _), told_daemon(address, library, systemd) as daemon:
        assert [systemd.next(), systemd.next()] == ["Reading the jobs", "Ready"]
        root = await Client.connect(address)
        path = await root.start()
        assert systemd.next() == "Migrations: 1 queued"
        begun = time.monotonic()
        daemon.events(path, {"type": "started", "steps": [["copy", 1]]})
        others = [await root.start(vm=f"web{number}") for number in range(5)]
        assert systemd.next() == "Migrations: 1 running, 5 queued"  # all that came meanwhile
        assert time.monotonic() - begun > PERIOD / 2
        for part in range(5):
            daemon.events(path, {"type": "progress", "fraction": part / 10})
        systemd.nothing_for(2 * PERIOD)
        for other in (path, *others):
            daemon.end(other)
        while systemd.next() != "Ready":
            pass
        root.close()


async def test_a_mistake_in_the_configuration_stays_in_the_line(
    library: str, systemd: Heard
) -> None:
    with running_bus() as (address, _), told_daemon(address, library, systemd):
        assert [systemd.next(), systemd.next()] == ["Reading the jobs", "Ready"]
        root = await Client.connect(address)
        with pytest.raises(CallError, match="MaxJobs=many"):
            await root.call("Reload", "a{sv}", {})
        assert systemd.next() == "Ready" + MISTAKE
        await root.start()
        assert systemd.next() == "Migrations: 1 queued" + MISTAKE
        root.close()


async def test_who_ends_tells_of_no_job_that_still_comes(library: str, systemd: Heard) -> None:
    with running_bus() as (address, _), told_daemon(address, library, systemd) as daemon:
        root = await Client.connect(address)
        await root.call("ListJobs", "a{sv}", {})
        late = asyncio.ensure_future(root.start(vm="slow"))  # half a second
        await root.call("ListJobs", "a{sv}", {})
        assert [systemd.next(), systemd.next()] == ["Reading the jobs", "Ready"]
        daemon.process.terminate()
        assert systemd.next() == "STOPPING=1\nSTATUS=Ending"
        await late
        assert daemon.process.wait(10) == 0
        systemd.nothing_for(0.2)
        root.close()
