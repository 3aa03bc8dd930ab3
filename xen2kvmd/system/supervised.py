# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a program that we do not know: watched, told in lines, ended with all that it started."""

import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from xen2kvmd.errors import Failed
from xen2kvmd.system.command import WITH_US, log

LOOK = 0.1  # seconds between two looks at whether it has ended
GRACE = 5.0  # seconds that it has to tidy up, from SIGTERM to SIGKILL
LINE = 2000  # characters of a line that are told
MOST = 1 << 20  # bytes of output that are told; a program may print without end
_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class End(Enum):
    """Why a program ended."""

    ITSELF = "itself"
    TIME = "time limit"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Outcome:
    """How a program ended; code is its exit code, or minus the number of the signal."""

    end: End
    code: int


def supervise(
    argv: Sequence[str],
    *,
    stdin: bytes,
    environment: Mapping[str, str],
    timeout: float,
    stopped: Callable[[], bool],
    tell: Callable[[str], None],
    most: int = MOST,
) -> Outcome:
    """Run a program in a process group of its own; tell(line) of what it prints while it runs.

    After `most` bytes of output that is said, and no more is told. At the time limit (seconds), or
    once stopped() is true, its group gets SIGTERM and, GRACE later, SIGKILL. What it leaves running
    in its group when it ends is killed too. Raises Failed if it cannot be started.
    """
    log.debug("supervise: %s", shlex.join(argv))
    with tempfile.TemporaryFile() as given:  # not a pipe: it need not read what we give it
        given.write(stdin)
        given.seek(0)
        read_end, write_end = os.pipe()
        try:
            process = subprocess.Popen(
                [*WITH_US, *argv],
                stdin=given,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
                env=dict(environment),
                cwd="/",
            )
        except OSError as error:
            os.close(read_end)
            raise Failed(f"{argv[0]} cannot be started: {error.strerror}.") from error
        finally:
            os.close(write_end)
    output = _Lines(read_end, tell, most)
    try:
        end = _watch(process.pid, output, timeout=timeout, stopped=stopped)
    finally:
        # It is dead or ours to kill, but not reaped yet: its group's number is still its own.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        output.close()
    return Outcome(end, code)


def _watch(pid: int, output: "_Lines", *, timeout: float, stopped: Callable[[], bool]) -> End:
    """Wait until the program has ended, or has been asked to and had its grace."""
    limit = time.monotonic() + timeout
    end = End.ITSELF
    while not _has_ended(pid):
        output.read(LOOK)
        if end is End.ITSELF:
            if not stopped() and time.monotonic() < limit:
                continue
            end = End.STOPPED if stopped() else End.TIME
            limit = time.monotonic() + GRACE
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        elif time.monotonic() > limit:
            break
    return end


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, and leave its exit status where it is."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class _Lines:
    """Cuts output into lines; never waits for who may hold the other end open."""

    def __init__(self, descriptor: int, tell: Callable[[str], None], most: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._tell = tell
        self._rest = b""
        self._most = self._left = most
        self._closed = False

    def read(self, seconds: float) -> None:
        """Tell what is there, or comes within the time."""
        if self._closed:
            time.sleep(seconds)
            return
        select.select([self._descriptor], [], [], seconds)
        with suppress(BlockingIOError):
            self._take(os.read(self._descriptor, 1 << 16))

    def close(self) -> None:
        """Tell the rest, and close."""
        with suppress(BlockingIOError):
            while not self._closed and self._left >= 0:
                self._take(os.read(self._descriptor, 1 << 16))
        if self._rest:
            self._line(self._rest)
        os.close(self._descriptor)

    def _take(self, data: bytes) -> None:
        if not data:
            self._closed = True
        if self._left < 0:
            return
        self._left -= len(data)
        # A bar of progress is drawn over itself: each drawing is a line. A \r at the end may be the
        # half of a \r\n.
        *lines, self._rest = _END.split(self._rest + data)
        for line in lines:
            self._line(line)
        if len(self._rest) > LINE:
            self._line(self._rest)
            self._rest = b""
        if self._left < 0:
            self._rest = b""
            self._tell(f"(more than {self._most} bytes: the rest is not kept)")

    def _line(self, line: bytes) -> None:
        self._tell(line[:LINE].decode("utf-8", "replace").rstrip("\r"))
