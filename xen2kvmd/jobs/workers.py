# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes that run jobs, as the daemon follows them: by pidfd, whoever began them."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from xen2kvmd.system import command


class Workers:
    """The workers that live, one a job; `ended(job_id)` is called for each that does no more."""

    def __init__(self, module: str, ended: Callable[[str], None]) -> None:
        self._module = module
        self._ended = ended
        self._running: dict[str, tuple[int, int]] = {}  # job id: pid, pidfd

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._running

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, job_id: str, arguments: Sequence[str], *, output: Path) -> None:
        """Begin a worker that outlives us; what it prints goes to the file `output`."""
        argv = [sys.executable, "-m", self._module, job_id, *arguments]
        self.follow(job_id, command.spawn(argv, output=output))

    def follow(self, job_id: str, pid: int) -> None:
        """Follow a worker that runs. Raises ProcessLookupError if it does not."""
        descriptor = os.pidfd_open(pid)
        self._running[job_id] = (pid, descriptor)
        asyncio.get_running_loop().add_reader(descriptor, partial(self._end, job_id))

    def terminate(self, job_id: str) -> None:
        """Send SIGTERM to a job's worker, if it has one."""
        if job_id in self._running:
            signal.pidfd_send_signal(self._running[job_id][1], signal.SIGTERM)

    def close(self) -> None:
        """Stop following; they go on."""
        for job_id in list(self._running):
            self._forget(job_id)

    def _end(self, job_id: str) -> None:
        command.reap(self._forget(job_id))
        self._ended(job_id)

    def _forget(self, job_id: str) -> int:
        pid, descriptor = self._running.pop(job_id)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        return pid
