# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred callers at once, some of whom leave in the middle, while jobs run."""

import asyncio
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from dbus_next import Message

from tests.bus import heartbeat
from tests.bus.client import FDO, JOB, MANAGER, NAME, PROPERTIES, ROOT, CallError, Client
from tests.bus.running import Daemon, running_bus, running_daemon, running_polkit

CALLERS = 100  # the bus lets a user have 256 connections
USERS = ("root", "mail", "news", "games")
JOBS = 5
SECONDS = 6.0  # tools/bench-service does it for a minute
SLOWEST = 5.0  # seconds for a reply, on a machine that may do other things
BLOCKED = 0.1  # seconds that the loop may work without a turn
GROWTH = 16 << 10  # KiB


@pytest.mark.xdist_group("load")
async def test_a_hundred_callers_at_once_get_their_answers(library: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    program = ("tests.bus.real_jobs", str(tmp_path))
    with (
        running_bus() as (address, _),
        running_polkit(address),
        running_daemon(address, library, program=program) as daemon,
    ):
        root = await Client.connect(address)
        jobs = [
            daemon.tell("submit", vm=f"vm{number}", place=str(tmp_path / "made"), two="slow")
            for number in range(JOBS)
        ]
        paths = [f"{ROOT}/jobs/{job.replace('-', '_')}" for job in jobs]
        async with asyncio.timeout(30):
            while {await root.get(path, "Phase") for path in paths} != {"two"}:
                await asyncio.sleep(0.1)
        await crowd(address, paths, seconds=1.0)  # what is kept for good is there then
        await asyncio.sleep(0.5)
        descriptors, memory, begun = open_files(daemon), resident(daemon), time.monotonic()

        took = await crowd(address, paths, seconds=SECONDS)

        turn = heartbeat.longest(tmp_path / "turns", since=begun)
        assert {await root.get(path, "State") for path in paths} == {"running"}
        await asyncio.sleep(0.5)  # the bus tells who has left
        assert open_files(daemon) <= descriptors
        assert resident(daemon) < memory + GROWTH
        assert "Traceback" not in daemon.log
        for path in paths:
            await root.job(path, "Cancel")
        for path in paths:
            assert (await root.job(path, "Wait"))[0] == "cancelled"
        root.close()
    assert len(took) > CALLERS
    assert max(took) < SLOWEST
    assert turn.worked < BLOCKED


async def crowd(address: str, jobs: Sequence[str], *, seconds: float) -> list[float]:
    """Let callers of several users call all the while; return what each reply took."""
    took: list[float] = []
    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(call_until(end, address, number, jobs, took))
    return took


async def call_until(
    end: float, address: str, number: int, jobs: Sequence[str], took: list[float]
) -> None:
    """Call one method after another; each fifth caller leaves with a call under way, and returns.

    A caller who is not root may not cancel the jobs of root, and is told so.
    """
    user = USERS[number % len(USERS)]
    client = await Client.connect(address, user)
    for turn in itertools.count(number):
        if time.monotonic() > end:
            break
        job = jobs[turn % len(jobs)]
        begun = time.monotonic()
        match turn % 5:
            case 0:
                (listed,) = await client.call("ListJobs", "a{sv}", {}, timeout=60)
                assert {one[0] for one in listed} == set(jobs)
            case 1:
                (objects,) = await client.call(
                    "GetManagedObjects", interface=FDO + ".ObjectManager", timeout=60
                )
                assert objects.keys() == set(jobs)
            case 2:
                (values,) = await client.call(
                    "GetAll", "s", JOB, path=job, interface=PROPERTIES, timeout=60
                )
                assert values["State"].value == "running"
            case 3 if user != "root":
                with pytest.raises(CallError, match=r"Authoriz|LimitExceeded"):
                    await client.call("Cancel", "a{sv}", {}, path=job, interface=JOB, timeout=60)
            case 4 if number % 5 == 0:
                leave(client)
                client = await Client.connect(address, user)
                continue
        took.append(time.monotonic() - begun)
    client.close()


def leave(client: Client) -> None:
    """Call, and go before the reply."""
    client.bus.send(
        Message(
            destination=NAME, path=ROOT, interface=MANAGER, member="ListJobs",
            signature="a{sv}", body=[{}],
        )
    )  # fmt: skip
    client.close()


def open_files(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def resident(daemon: Daemon) -> int:
    """Return the resident memory of the service, in KiB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
