# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeing to it that a job which has begun has a worker until it is over."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from xen2kvmd.errors import MigrationError
from xen2kvmd.jobs import report
from xen2kvmd.jobs.board import Board
from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.jobs.store import Store
from xen2kvmd.jobs.tasks import Tasks
from xen2kvmd.jobs.workers import Workers
from xen2kvmd.system import files

log = logging.getLogger(__name__)

ATTEMPTS = 5  # workers of one job that may die before we give up; all but the first may undo


class Supervisor:
    """Begins and follows workers. `freed()` is called when one has ended and that was looked at."""

    def __init__(
        self,
        store: Store,
        board: Board,
        *,
        events: Path,
        worker: str,
        in_units: bool,
        freed: Callable[[], None],
    ) -> None:
        """Run the module `worker`, which tells of its job at the socket `events`."""
        self._store = store
        self._board = board
        self._events = events
        self._freed = freed
        self._workers = Workers(worker, ended=self._ended, refused=self._refused, in_units=in_units)
        self._tasks = Tasks()
        self._closed = False

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._workers

    async def close(self) -> None:
        """Stop following; workers go on."""
        self._closed = True
        await self._tasks.wait()
        self._workers.close()

    def begin(self, job_id: str) -> None:
        """Begin a worker."""
        arguments = ["--jobs", str(self._store.folder), "--events", str(self._events)]
        output = self._store.path(job_id) / "stderr"
        self._workers.begin(job_id, arguments, output=output)

    def terminate(self, job_id: str) -> None:
        """Send SIGTERM to a job's worker."""
        self._workers.terminate(job_id)

    async def adopt(self, status: JobStatus) -> None:
        """Follow the worker that an earlier daemon began, or begin another if it died."""
        path = self._store.path(status.id) / "lock"
        for _ in range(50):
            lock = await asyncio.to_thread(files.try_lock, path)
            if lock is not None:
                lock.close()
                if status.started_at:
                    await self._take_up(status.id)
                return
            with suppress(ValueError, ProcessLookupError):
                self._workers.follow(status.id, int(path.read_text()))
                return
            await asyncio.sleep(0.1)  # it has the lock and has not written its pid yet

    async def end(self, job_id: str, state: JobState, name: str, message: str) -> None:
        """End a job that has no worker."""
        ended = {"state": state, "error_name": name, "error_message": message}
        await asyncio.to_thread(report.end, self._store, job_id, ended)
        await self._board.read_journal(job_id)

    def _ended(self, job_id: str) -> None:
        self._tasks.begin(self._after_worker(job_id))

    def _refused(self, job_id: str, error: MigrationError) -> None:
        """End a job that no process can be had for, unless there is something to undo.

        The next daemon takes that up: systemd starts nothing while the host goes down, say.
        """
        log.error("Job %s: %s", job_id, error)
        if not self._board.get(job_id).started_at:
            self._tasks.begin(self.end(job_id, JobState.FAILED, error.name, str(error)))

    async def _after_worker(self, job_id: str) -> None:
        if job_id in self._board:  # it may be forgotten already
            await self._board.read_journal(job_id)
            if not self._board.get(job_id).state.final and not self._closed:
                await self._take_up(job_id)
            record = await asyncio.to_thread(self._store.record, job_id)
            if record.spec.get("migration", "") in self._board:  # it was settled, perhaps
                await self._board.read_journal(record.spec["migration"])
        self._freed()

    async def _take_up(self, job_id: str) -> None:
        """Begin another worker for a job whose worker died: it undoes, or goes on."""
        if await asyncio.to_thread(self._store.count_death, job_id) < ATTEMPTS:
            log.warning("The worker of job %s died; another takes it up", job_id)
            self.begin(job_id)
            return
        await self.end(
            job_id,
            JobState.INTERRUPTED,
            "Interrupted",
            f"{ATTEMPTS} workers of this job died, none could undo what was done.\n"
            "Its log may tell why; its report and journal tell what it had made.",
        )
