# SPDX-License-Identifier: GPL-2.0-or-later
"""How long an event loop does not turn: so long all callers wait for what some of them asked."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

TICK = 0.005  # seconds between two beats
NEWS = 0.01  # seconds by which a beat is late that is written down


@dataclass(frozen=True)
class Turn:
    """A long turn: when it ended, what it took, and what of that the loop itself worked.

    The rest others had the processor, or another thread had Python's lock.
    """

    ended: float
    seconds: float
    worked: float


async def beat(path: Path) -> None:
    """Append all long turns of this loop to a file; never returns."""
    with path.open("a", buffering=1) as turns:
        while True:
            begun, used = time.monotonic(), time.thread_time()
            await asyncio.sleep(TICK)
            ended, worked = time.monotonic(), time.thread_time() - used
            if (late := ended - begun - TICK) > NEWS:
                turns.write(f"{ended} {late} {worked}\n")


def longest(path: Path, *, since: float) -> Turn:
    """Return the turn since then in which the loop worked longest."""
    lines = path.read_text().splitlines()
    turns = (Turn(*map(float, line.split())) for line in lines)
    found = (turn for turn in turns if turn.ended > since)
    return max(found, key=lambda turn: turn.worked, default=Turn(since, 0.0, 0.0))
