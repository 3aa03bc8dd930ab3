# SPDX-License-Identifier: GPL-2.0-or-later
"""The service is killed while a job runs: the next one follows it, and listeners see one story."""

import asyncio
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dbus_next import Message

from tests.bus.client import JOB, ROOT, Client
from tests.bus.running import Daemon, running_bus, running_daemon
from tests.jobs.lab import SECONDS

FOLLOWED = 1.0  # seconds until the next service tells what a job does


def service(address: str, library: str, folder: Path) -> AbstractContextManager[Daemon]:
    return running_daemon(address, library, program=("tests.bus.real_jobs", str(folder)))


def changes(signals: list[Message], path: str, name: str) -> list[Any]:
    """Return the values that a property of a job was told to have, in order."""
    told = [
        signal.body[1] for signal in signals
        if (signal.path, signal.member) == (path, "PropertiesChanged") and signal.body[0] == JOB
    ]  # fmt: skip
    return [values[name].value for values in told if name in values]


async def until(root: Client, path: str, name: str, value: object) -> None:
    """Wait until a property of a job was told to be more than that."""
    async with asyncio.timeout(SECONDS):
        while not any(told > value for told in changes(root.signals, path, name)):
            await asyncio.sleep(0.01)


async def test_signals_of_a_job_go_on_where_they_were(library: str, tmp_path: Path) -> None:
    place = tmp_path / "made"
    place.mkdir()
    with running_bus() as (address, _):
        root = await Client.connect(address)
        await root.listen()
        with service(address, library, tmp_path) as first:
            job = first.tell("submit", place=str(place), two="slow")
            path = f"{ROOT}/jobs/{job.replace('-', '_')}"
            await until(root, path, "BytesDone", 0)
            first.process.kill()
            first.process.wait()
        seen = len(root.signals)
        done = max(changes(root.signals, path, "BytesDone"))
        with service(address, library, tmp_path):
            assert await root.get(path, "State") == "running"
            begun = time.monotonic()
            await until(root, path, "BytesDone", done)
            assert time.monotonic() - begun < FOLLOWED
            await root.job(path, "Cancel")
            await root.heard("JobFinished")
        root.close()

    signals = root.signals
    assert "PropertiesChanged" in [signal.member for signal in signals[seen:]]
    assert changes(signals, path, "State") == ["running", "cancelling", "cancelled"]
    assert changes(signals, path, "Phase") == ["one", "two", "rollback"]
    for name in ("Progress", "StartedAt"):
        assert changes(signals, path, name) == sorted(changes(signals, path, name))
    members = root.members()
    assert (members.count("JobNew"), members.count("InterfacesAdded")) == (1, 1)
    assert (members.count("Finished"), members.count("JobFinished")) == (1, 1)
    last, finished, told = signals[-4:-1]
    assert last.body[1]["State"].value == "cancelled"
    assert (finished.member, finished.body[0]) == ("Finished", "cancelled")
    assert (told.member, told.body[2]) == ("JobFinished", "cancelled")
    assert list(place.iterdir()) == []


async def test_who_asks_the_next_service_hears_of_an_end_that_nobody_told(
    library: str, tmp_path: Path
) -> None:
    place = tmp_path / "made"
    place.mkdir()
    with running_bus() as (address, _):
        root = await Client.connect(address)
        await root.listen()
        with service(address, library, tmp_path) as first:
            job = first.tell("submit", place=str(place), two="wait")
            path = f"{ROOT}/jobs/{job.replace('-', '_')}"
            await until(root, path, "BytesDone", 0)
            first.process.kill()
            first.process.wait()
        (place / "go").touch()
        async with asyncio.timeout(SECONDS):
            while '"ended"' not in (tmp_path / "jobs" / job / "journal").read_text():
                await asyncio.sleep(0.02)
        with service(address, library, tmp_path):
            assert await root.job(path, "Wait") == ["succeeded", "", ""]
            assert await root.get(path, "Progress") == 1.0
        root.close()
