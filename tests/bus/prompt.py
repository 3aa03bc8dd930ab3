# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody else who calls the service all the while, and is to be answered at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.bus.raw import RawCaller

LONGEST = 1.0  # seconds for a Ping, on a machine that may do other things; mostly it takes some ms


@contextmanager
def answered_promptly(bus_address: str) -> Iterator[None]:
    """Ping in a thread of its own, whose calls no other caller of the test delays."""
    times: list[float] = []
    over = Event()

    def ping() -> None:
        with RawCaller(bus_address, "mail") as caller:
            while not over.wait(0.01):
                begun = time.monotonic()
                caller.ping()
                times.append(time.monotonic() - begun)

    thread = Thread(target=ping)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert times
    assert max(times) < LONGEST
