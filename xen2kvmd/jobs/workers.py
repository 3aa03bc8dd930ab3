# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes that run jobs, as the daemon follows them: by pidfd, whoever began them."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from xen2kvmd.errors import Failed, MigrationError
from xen2kvmd.system import command, units

PAUSES = (0.0, 0.5, 2.0)  # seconds before systemd is asked for a unit: once, and again
LOOK = 0.2  # seconds between two looks whether it has been started


class Workers:
    """The workers that live, one a job.

    `ended(job_id)` is called for each that does no more, `refused(job_id, error)` for one that
    could not be started.
    """

    def __init__(
        self,
        module: str,
        *,
        ended: Callable[[str], None],
        refused: Callable[[str, MigrationError], None],
        in_units: bool,
    ) -> None:
        """Run the module in processes of our own, or let systemd run it in units."""
        self._module = module
        self._ended = ended
        self._refused = refused
        self._in_units = in_units
        self._running: dict[str, tuple[int, int]] = {}  # job id: pid, pidfd
        self._starting: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._running or job_id in self._starting

    def __len__(self) -> int:
        return len(self._running) + len(self._starting)

    def begin(self, job_id: str, arguments: Sequence[str], *, output: Path) -> None:
        """Begin a worker that outlives us; what it prints goes to the file `output`.

        A unit has arguments of its own, and the system's journal for what it prints.
        """
        argv = [sys.executable, "-m", self._module, job_id, *arguments]
        own = partial(asyncio.to_thread, command.spawn, argv, output=output)
        start = partial(_start_unit, job_id) if self._in_units else own
        self._starting[job_id] = asyncio.create_task(self._start(job_id, start))

    def follow(self, job_id: str, pid: int) -> None:
        """Follow a worker that runs. Raises ProcessLookupError if it does not."""
        descriptor = os.pidfd_open(pid)
        self._running[job_id] = (pid, descriptor)
        asyncio.get_running_loop().add_reader(descriptor, partial(self._end, job_id))

    def terminate(self, job_id: str) -> None:
        """Send SIGTERM to a job's worker; one that starts just now looks for the mark itself."""
        if job_id in self._running:
            signal.pidfd_send_signal(self._running[job_id][1], signal.SIGTERM)

    def close(self) -> None:
        """Stop following; they go on."""
        for task in self._starting.values():
            task.cancel()
        for job_id in list(self._running):
            self._forget(job_id)

    async def _start(self, job_id: str, start: Callable[[], Awaitable[int]]) -> None:
        try:
            self.follow(job_id, await start())
        except ProcessLookupError:
            self._ended(job_id)
        except OSError as error:
            self._refused(job_id, Failed(f"The job's process cannot be started: {error}."))
        except MigrationError as error:
            self._refused(job_id, error)
        finally:
            del self._starting[job_id]

    def _end(self, job_id: str) -> None:
        command.reap(self._forget(job_id))
        self._ended(job_id)

    def _forget(self, job_id: str) -> int:
        pid, descriptor = self._running.pop(job_id)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        return pid


async def _start_unit(job_id: str) -> int:
    """Let systemd start a job's unit; return the pid of its process.

    What systemd does counts, not what systemctl says of it: one that was killed, or not answered in
    time, may have been heard. Raises Failed, or ProcessLookupError if it has ended already.
    """
    since = time.time()
    for pause in PAUSES:
        await asyncio.sleep(pause)
        refusal: Failed | None = None
        try:
            await asyncio.to_thread(units.start, job_id)
        except Failed as error:
            refusal = error
        try:
            pid = await _main_pid(job_id)
        except Failed as error:
            refusal = refusal or error
        else:
            if pid:
                return pid
        if refusal is None:
            break
    if refusal is None:
        await asyncio.to_thread(units.check_executed, job_id, since=since)
    raise refusal or ProcessLookupError(f"The unit of job {job_id} has ended.")


async def _main_pid(job_id: str) -> int:
    """Return the pid of a unit's process, once systemd has done all that it is to do about it."""
    while True:
        pid = await asyncio.to_thread(units.main_pid, job_id)
        if pid is not None:
            return pid
        await asyncio.sleep(LOOK)
