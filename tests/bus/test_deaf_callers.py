# SPDX-License-Identifier: GPL-2.0-or-later
"""Callers that ask and never read what comes: nobody else waits for them."""

import asyncio
import time

import pytest

from tests.bus.client import FDO, Client
from tests.bus.raw import RawCaller
from tests.bus.running import Daemon

CALLS = 2000
SOON = 0.1  # seconds


@pytest.mark.parametrize("user", ["nobody", "root"])
async def test_a_caller_that_reads_nothing_holds_up_nobody(
    root: Client, daemon: Daemon, bus_address: str, user: str
) -> None:
    for number in range(20):
        await root.start("Plan", f"vm{number}")
    before = daemon.tell("stats")
    with RawCaller(bus_address, user) as deaf:
        await asyncio.to_thread(deaf.ask_for_jobs, CALLS)

        assert min([await answered(root) for _ in range(20)]) < SOON
        (listed,) = await root.call("ListJobs", "a{sv}", {})
        assert len(listed) >= 20

    assert min([await answered(root) for _ in range(20)]) < SOON
    after = daemon.tell("stats")
    assert after["descriptors"] == before["descriptors"]
    assert after["tasks"] <= before["tasks"] + 1


async def answered(root: Client) -> float:
    """Return the seconds that a Ping takes."""
    begun = time.monotonic()
    await root.call("Ping", interface=FDO + ".Peer")
    return time.monotonic() - begun
