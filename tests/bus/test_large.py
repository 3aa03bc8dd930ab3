# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as large as the bus lets through."""

import asyncio

import pytest

from tests.bus.client import Client
from tests.bus.prompt import answered_promptly
from tests.bus.raw import RawCaller

LARGEST = (32 << 20) - 1000  # bytes; a little more with its header the bus itself refuses


@pytest.mark.parametrize(("of", "size"), [("u", 4_000_000), ("y", LARGEST)])
async def test_a_large_message_is_survived(
    root: Client, bus_address: str, of: str, size: int
) -> None:
    """What its numbers cost, the library takes."""
    with RawCaller(bus_address, "mail") as caller:
        caller.send_array(size, of=of)
        await root.call("ListJobs", "a{sv}", {})
        caller.receive(until=b"InvalidArgs")


async def test_the_largest_message_delays_nobody(root: Client, bus_address: str) -> None:
    with RawCaller(bus_address, "games") as caller, answered_promptly(bus_address):
        for _ in range(3):
            caller.send_array(LARGEST, of="y")
            await asyncio.to_thread(caller.receive, until=b"InvalidArgs")
    await root.call("ListJobs", "a{sv}", {})
