# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeing to it that a job which has begun has a worker until it is over."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from xen2kvmd.errors import JobNotFound, MigrationError
from xen2kvmd.jobs import report
from xen2kvmd.jobs.board import Board
from xen2kvmd.jobs.status import JobState
from xen2kvmd.jobs.store import Store
from xen2kvmd.jobs.tasks import Tasks
from xen2kvmd.jobs.workers import Workers
from xen2kvmd.system import files

log = logging.getLogger(__name__)

# Seconds until another worker takes up a job whose first, second, ... died: what killed it, like a
# disk that is full, may pass.
PAUSES = (0.0, 10.0, 60.0, 300.0)
ATTEMPTS = len(PAUSES) + 1  # workers that may die before we give up; all but the first may undo
LOOKS = 50  # for who has a job's lock, ten a second
SILENT = 1440  # workers, one a minute, that may die at once though the disk would take what they do
RETRY = 60.0  # seconds until a job that got no worker, or was not looked at, is tried again
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
        self._known: dict[str, int] = {}  # of jobs with a worker: the last event before it
        self._silent = Counter[str]()  # workers of a job that died in a row, and wrote nothing down
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
        self._known[job_id] = self._board.get(job_id).seq
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
            self._begin_later(job_id, RETRY, f"waits for a process to go on in: {error.message}")
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
                self._begin_later(job_id, RETRY, f"waits for a process to take it up: {why}")

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
            self._known.pop(job_id, None)
        elif not self._resting:
            await self.adopt(job_id, died=True)
        record = await asyncio.to_thread(self._store.record, job_id)
        if record.migration:  # it was settled, perhaps
            await self._board.read_journal(record.migration)

    async def _take_up(self, job_id: str) -> None:
        """Begin another worker for a job whose worker died: it undoes, or goes on."""
        status = self._board.get(job_id)
        if status.started_at and self._known.pop(job_id, None) == status.seq:
            await self._after_silence(job_id)
            return
        self._silent.pop(job_id, None)
        before, seq = await asyncio.to_thread(self._store.deaths, job_id)
        if status.started_at and seq == status.seq:  # the daemon before us has counted this one
            self.begin(job_id)
            return
        await asyncio.to_thread(self._store.keep_deaths, job_id, before + 1, seq=status.seq)
        if before >= len(PAUSES):
            await self.end(
                job_id,
                JobState.INTERRUPTED,
                "Interrupted",
                f"{ATTEMPTS} workers of this job died, none could undo what was done.\n"
                "Its log may tell why; its report and journal tell what it had made.",
            )
            return
        pause = PAUSES[before]
        log.warning("The worker of job %s died; another takes it up in %g s", job_id, pause)
        if pause:
            why = f"{before + 1} of its processes died"
            self._begin_later(job_id, pause, f"waits for a process to take it up: {why}")
        else:
            self.begin(job_id)

    async def _after_silence(self, job_id: str) -> None:
        """Begin another worker in a while for one that died before it wrote anything down.

        It has done nothing, and may not be able to for hours: a disk that is full is waited for
        without end. Where the disk takes what we write, a person must see to what kills workers.
        """
        log.error("The worker of job %s died at once; another begins later", job_id)
        why = "the last one died before it could write anything down"
        if await asyncio.to_thread(self._store.has_room, job_id):
            self._silent[job_id] += 1
            why += f" ({self._silent[job_id]} of {SILENT}); the system's journal may tell why"
        if self._silent[job_id] < SILENT:
            self._begin_later(job_id, RETRY, f"waits for a process to take it up: {why}")
            return
        del self._silent[job_id]
        await self.end(
            job_id,
            JobState.INTERRUPTED,
            "Interrupted",
            f"{SILENT} workers of this job died before they could write anything down; nothing was "
            f"undone.\nThe system's journal may tell why ('journalctl -u xen2kvm-job@{job_id}'); "
            "the job's report tells what it had made, and how to go back.",
        )
