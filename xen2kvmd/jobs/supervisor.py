# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeing to it that a job which has begun has a worker until it is over."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from xen2kvmd.errors import JobNotFound, MigrationError
from xen2kvmd.jobs import deaths, report
from xen2kvmd.jobs.board import Board
from xen2kvmd.jobs.deaths import Deaths
from xen2kvmd.jobs.status import JobState
from xen2kvmd.jobs.store import Store
from xen2kvmd.jobs.tasks import Tasks
from xen2kvmd.jobs.workers import Workers
from xen2kvmd.system import files

log = logging.getLogger(__name__)

LOOKS = 50  # for who has a job's lock, ten a second
CANCELLED = ("Cancelled", "The job was cancelled.")  # name and message of the error


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
        self._looked_at: set[str] = set()  # jobs whose worker has ended just now
        self._retries: dict[str, asyncio.TimerHandle] = {}  # of jobs that wait for a worker
        self._deaths = Deaths(store.folder)
        self._resting = False

    def __contains__(self, job_id: str) -> bool:
        """Tell whether a job has a worker, or is about to have one."""
        return job_id in self._workers or job_id in self._looked_at or job_id in self._retries

    def rest(self) -> None:
        """Begin no more workers: the next daemon takes up what needs one."""
        self._resting = True
        for retry in self._retries.values():
            retry.cancel()

    async def close(self) -> None:
        """Stop following; workers go on."""
        self.rest()
        await self._tasks.wait()
        self._workers.close()

    def begin(self, job_id: str) -> None:
        """Begin a worker, unless we rest."""
        if retry := self._retries.pop(job_id, None):
            retry.cancel()
        if self._resting or job_id not in self._board or job_id in self._workers:
            return
        self._deaths.begun(self._board.get(job_id))
        arguments = ["--jobs", str(self._store.folder), "--events", str(self._events)]
        output = self._store.path(job_id) / "stderr"
        self._workers.begin(job_id, arguments, output=output)

    def terminate(self, job_id: str) -> None:
        """Send SIGTERM to a job's worker; one that is to be begun again later is begun now."""
        if retry := self._retries.get(job_id):
            retry.cancel()
            self.begin(job_id)
        self._workers.terminate(job_id)

    async def adopt(self, job_id: str, *, died: bool = False) -> None:
        """Follow the worker that has a job's lock, whoever began it.

        If none has, another is begun, unless the job has not begun and nobody says that one died.
        Where that fails, it is tried again later; a job that waits in the queue is left to that.
        """
        if died or self._board.get(job_id).started_at:
            with self._or_later(job_id):
                await self._adopt(job_id, died=died)
            return
        try:
            await self._adopt(job_id, died=False)
        except (MigrationError, OSError) as error:
            log.error("Whether job %s has a process cannot be seen: %s", job_id, error)

    async def _adopt(self, job_id: str, *, died: bool) -> None:
        for _ in range(LOOKS):
            lock = await asyncio.to_thread(self._store.lock, job_id)
            if lock is not None:
                files.unlock(lock)
                await self._board.read_journal(job_id)
                status = self._board.get(job_id)
                if not status.state.final and (died or status.started_at):
                    await self._take_up(job_id)
                return
            with suppress(ValueError, ProcessLookupError):
                self._workers.follow(job_id, await asyncio.to_thread(self._store.worker, job_id))
                return
            await asyncio.sleep(0.1)  # it has the lock and has not written its pid yet
        log.error("Who works on job %s cannot be seen; start xen2kvmd anew to follow it", job_id)

    async def end(self, job_id: str, state: JobState, name: str, message: str) -> bool:
        """End a job that has no worker; return whether it is over.

        If a worker holds its lock after all, follow that one. If an earlier worker left something
        to undo, begin another to undo it, unless state is INTERRUPTED, which gives the job up.
        """
        lock = await asyncio.to_thread(self._store.lock, job_id)
        if lock is None:
            await self.adopt(job_id)
            return False
        try:
            status = await asyncio.to_thread(self._store.status, job_id)
            to_undo = status.started_at and state is not JobState.INTERRUPTED
            if not status.state.final and not to_undo:
                ended = {"state": state, "error_name": name, "error_message": message}
                await asyncio.to_thread(report.end, self._store, job_id, ended)
        finally:
            files.unlock(lock)
        await self._board.read_journal(job_id)
        if not (over := self._board.get(job_id).state.final):
            await self.adopt(job_id, died=True)
        return over

    def _ended(self, job_id: str) -> None:
        self._look_at(job_id, self._after_worker(job_id))

    def _refused(self, job_id: str, error: MigrationError) -> None:
        """End a job that no process can be had for; one that has begun waits, and asks again.

        When we rest, the host may go down, and systemd starts nothing: that is no fault of the job.
        """
        log.error("Job %s: %s", job_id, error)
        if self._resting:
            return
        status = self._board.get(job_id)
        if status.started_at:
            activity = f"waits for a process to go on in: {error.message}"
            self._begin_later(job_id, deaths.RETRY, activity)
        elif status.state is JobState.CANCELLING:
            self._look_at(job_id, self.end(job_id, JobState.CANCELLED, *CANCELLED))
        else:
            self._look_at(job_id, self.end(job_id, JobState.FAILED, error.name, str(error)))

    def _begin_later(self, job_id: str, seconds: float, activity: str) -> None:
        """Begin a worker in some time, which is told as what the job is at."""
        if self._resting:
            return
        if retry := self._retries.get(job_id):
            retry.cancel()
        loop = asyncio.get_running_loop()
        self._retries[job_id] = loop.call_later(seconds, self.begin, job_id)
        self._board.change(replace(self._board.get(job_id), activity=activity))

    @contextmanager
    def _or_later(self, job_id: str) -> Iterator[None]:
        """Let what fails in the block be done by a worker that is begun later.

        A disk that is full, or out of order, for a moment must not leave a job without anybody.
        """
        try:
            yield
        except JobNotFound:
            return  # somebody removed it meanwhile
        except (MigrationError, OSError) as error:
            log.error("Job %s cannot be looked after now: %s", job_id, error)
            if job_id in self._board and not self._board.get(job_id).state.final:
                why = error.message if isinstance(error, MigrationError) else str(error)
                self._begin_later(job_id, deaths.RETRY, f"waits for a process to take it up: {why}")

    def _look_at(self, job_id: str, work: Coroutine[Any, Any, object]) -> None:
        """Do what the end of a worker asks for; whatever becomes of that, the queue goes on."""

        async def look() -> None:
            try:
                with self._or_later(job_id):
                    await work
            finally:
                self._looked_at.discard(job_id)
                self._freed()

        self._looked_at.add(job_id)
        self._tasks.begin(look())

    async def _after_worker(self, job_id: str) -> None:
        """Look what became of a job; its worker may have left it to another that was faster."""
        await self._board.read_journal(job_id)
        if self._board.get(job_id).state.final:
            self._deaths.over(job_id)
        elif not self._resting:
            await self.adopt(job_id, died=True)
        record = await asyncio.to_thread(self._store.record, job_id)
        if record.migration:  # it was settled, perhaps
            await self._board.read_journal(record.migration)

    async def _take_up(self, job_id: str) -> None:
        """Begin another worker for a job whose worker died: it undoes, or goes on."""
        verdict = await asyncio.to_thread(self._deaths.died, self._board.get(job_id))
        if verdict.given_up:
            await self.end(job_id, JobState.INTERRUPTED, "Interrupted", verdict.given_up)
        elif verdict.pause:
            activity = f"waits for a process to take it up: {verdict.why}"
            self._begin_later(job_id, verdict.pause, activity)
        else:
            self.begin(job_id)
