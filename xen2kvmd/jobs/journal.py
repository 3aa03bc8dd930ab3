# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's journal: JSON lines, append-only, fsynced; a job's status is a fold over it."""

import json
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from xen2kvmd.jobs.status import Event
from xen2kvmd.system import files


def now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


class Journal:
    """The journal of one job, opened by the one process that holds the job's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.events = read(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        # A line torn by a crash would swallow the next one.
        os.ftruncate(self._descriptor, _whole(path.read_bytes()))

    def append(self, kind: str, **data: Any) -> Event:
        """Write an event, durably, before anybody hears of it; return it. Raises OSError."""
        event = {"seq": len(self.events) + 1, "time": now(), "type": kind, **data}
        line = json.dumps(event).encode() + b"\n"
        before = os.fstat(self._descriptor).st_size
        try:
            while line:  # a disk that runs full takes a part of it
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)  # half a line would swallow the next one
            raise
        self.events.append(event)
        return event

    def locked(self) -> AbstractContextManager[None]:
        """Hold the journal: whoever decides by what is in it waits until the block is left."""
        return files.locked(self._path)

    def close(self) -> None:
        os.close(self._descriptor)


def read(path: Path) -> list[Event]:
    """Return the whole events of a journal; none if there is no journal yet."""
    return parse(lines(path))


def lines(path: Path) -> bytes:
    """Return the whole lines of a journal; none if there is no journal yet."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    return data[: _whole(data)]


def parse(data: bytes) -> list[Event]:
    """Return the events of whole lines. Raises ValueError."""
    events: list[Event] = json.loads(b"[" + b",".join(data.splitlines()) + b"]")  # all at once
    return events


def _whole(data: bytes) -> int:
    """Return how many bytes belong to whole lines."""
    return data.rfind(b"\n") + 1
