# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon's side of all jobs: begin, follow, cancel, forget."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from xen2kvmd.errors import (
    Busy,
    JobNotFound,
    MigrationError,
    NotCancellable,
    NotFinished,
    NotQueued,
)
from xen2kvmd.jobs import queue, report
from xen2kvmd.jobs.admission import check_not_needed, check_room, check_same
from xen2kvmd.jobs.board import Board, Watcher
from xen2kvmd.jobs.events import Receiver
from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.status import Event, JobState, JobStatus, fold
from xen2kvmd.jobs.store import JobRecord, Store, new_id
from xen2kvmd.jobs.workers import Workers
from xen2kvmd.model import Limits
from xen2kvmd.system import files

log = logging.getLogger(__name__)

ATTEMPTS = 5  # workers of one job that may die before we give up; all but the first may undo
LONGEST_SLEEP = 3600.0  # seconds: the host's clock may be set meanwhile
DEFAULTS = Limits()


class Jobs:
    """All jobs. Its methods are called in the event loop; disks are touched in threads."""

    def __init__(
        self,
        folder: Path,
        events: Path,
        *,
        most: int = 1000,
        limits: Limits = DEFAULTS,
        worker: str = "xen2kvmd.job",
        in_units: bool = False,
    ) -> None:
        """Keep jobs in `folder`, hear of them at the socket `events`, run the module `worker`.

        most is how many jobs may be queued or running, limits what else the queue heeds.
        """
        self._store = Store(folder)
        self._events = events
        self._receiver = Receiver(events, self._hear)
        self._most = most
        self._limits = limits
        self._board = Board(self._store)
        self._workers = Workers(
            worker, ended=self._worker_ended, refused=self._worker_refused, in_units=in_units
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()  # held while a job is made or forgotten
        self._touched: set[str] = set()  # queued jobs that we write to: not to be begun
        self._due: asyncio.TimerHandle | None = None
        self._closed = False

    def watch(self, watcher: Watcher) -> None:
        """Call watcher(old, new) at each change; old is None for a new job, new for a removed."""
        self._board.watch(watcher)

    async def start(self) -> None:
        """Read all jobs from disk, follow those that live, take up those whose worker died."""
        self._store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._receiver.open()
        await self._board.load()
        for status in self._board.all():
            if not status.state.final:
                await self._adopt(status)
        self.limit(self._limits)

    async def close(self) -> None:
        """Stop following; workers go on."""
        self._closed = True
        if self._due:
            self._due.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        self._receiver.close()
        self._workers.close()

    def all(self) -> tuple[JobStatus, ...]:
        return self._board.all()

    def get(self, job_id: str) -> JobStatus:
        """Return a job. Raises JobNotFound."""
        return self._board.get(job_id)

    async def submit(
        self,
        spec: Mapping[str, Any],
        *,
        operation: str,
        vm: str,
        source: str,
        target: str,
        owner_uid: int,
        job_id: str = "",
    ) -> JobStatus:
        """Make a job, durably, and begin it if there is room. A job_id that exists returns its job.

        Raises LimitExceeded, Busy if another migration of the same guest is not over, or
        InvalidOption if the job that exists is another than this.
        """
        async with self._changing:
            record = JobRecord(
                id=job_id or new_id(),
                operation=operation,
                vm=vm,
                source=source,
                target=target,
                owner_uid=owner_uid,
                created_at=now(),
                spec=spec,
            )
            if job_id in self._board:
                check_same(await asyncio.to_thread(self._store.record, job_id), record)
                return self.get(job_id)
            check_room(self.all(), record, limit=self._most)
            await asyncio.to_thread(self._store.create, record)
            status = record.status()
            self._board.change(status)
        self._begin_queued()
        return self.get(status.id)

    async def cancel(self, job_id: str) -> None:
        """Ask a job to end and undo what it did. Raises NotCancellable once it is too late."""
        status = self.get(job_id)
        if status.state is JobState.CANCELLING:
            return
        if status.state.final or not status.cancellable:
            raise NotCancellable(
                f"The job {job_id} cannot be cancelled: it is {status.state}, step '{status.step}'."
            )
        if status.state is JobState.QUEUED and job_id not in self._workers:
            await self._cancel_queued(job_id)
            return
        await asyncio.to_thread((self._store.path(job_id) / "cancel").touch)
        status = self.get(job_id)
        if not status.state.final:  # it may have ended meanwhile
            self._board.change(fold(status, {"type": "cancelling"}))
            self._workers.terminate(job_id)

    async def _cancel_queued(self, job_id: str) -> None:
        if job_id in self._touched:
            return
        self._touched.add(job_id)
        try:
            await asyncio.to_thread((self._store.path(job_id) / "cancel").touch)
            await self._end(job_id, JobState.CANCELLED, "Cancelled", "The job was cancelled.")
        finally:
            self._touched.discard(job_id)

    async def arrange(self, job_id: str, **change: Any) -> None:
        """Change held or priority of a job that has not begun. Raises NotQueued."""
        async with self._changing:
            begun = job_id in self._workers or job_id in self._touched
            if begun or self.get(job_id).state is not JobState.QUEUED:
                raise NotQueued(f"The job {job_id} has begun already, or is over.")
            self._touched.add(job_id)
            try:
                await asyncio.to_thread(partial(self._store.arrange, job_id, **change))
                await self._board.read_journal(job_id)
            finally:
                self._touched.discard(job_id)
        self._begin_queued()

    def limit(self, limits: Limits) -> None:
        """Heed other limits from now on; jobs that run are not touched."""
        self._limits = limits
        self._begin_queued()
        self._task(self._forget_old())

    async def _forget_old(self) -> None:
        for status in tuple(queue.outdated(self.all(), self._limits, now=now())):
            with suppress(JobNotFound, Busy):  # somebody removed it, or needs it
                await self.remove(status.id)

    async def remove(self, job_id: str) -> None:
        """Forget a job that is over. Raises NotFinished, and Busy while another settles it."""
        async with self._changing:
            if not self.get(job_id).state.final:
                raise NotFinished(f"The job {job_id} is not over.", hint="Cancel it first.")
            await asyncio.to_thread(check_not_needed, self._store, self.all(), job_id)
            await asyncio.to_thread(self._store.remove, job_id)
            self._board.forget(job_id)

    async def file(self, job_id: str, name: str) -> str:
        """Return the text of a file of the job. Raises NotFinished if it is not written yet."""
        self.get(job_id)
        return await asyncio.to_thread(self._store.text, job_id, name)

    # --- workers and the queue --------------------------------------------------------------------

    def _hear(self, job_id: str, event: Event) -> None:
        """Take in a worker's datagram; an event that comes after a lost one waits for the file."""
        if self._board.hear(job_id, event):
            self._task(self._board.read_journal(job_id))

    def _begin_queued(self) -> None:
        """Begin what can begin; look again when a job that waits for its time comes due."""
        if self._closed:
            return
        jobs = [status for status in self.all() if status.id not in self._touched]
        taken = {status.id for status in jobs if status.id in self._workers}
        for status in tuple(queue.ready(jobs, taken, self._limits, now=now())):
            self._spawn(status.id)
        if self._due:
            self._due.cancel()
            self._due = None
        if due := queue.next_due(jobs, now=now()):
            seconds = min((due - now()) / 1e6, LONGEST_SLEEP)
            self._due = asyncio.get_running_loop().call_later(seconds, self._begin_queued)

    def _spawn(self, job_id: str) -> None:
        arguments = ["--jobs", str(self._store.folder), "--events", str(self._events)]
        output = self._store.path(job_id) / "stderr"
        self._workers.begin(job_id, arguments, output=output)

    async def _adopt(self, status: JobStatus) -> None:
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

    def _worker_ended(self, job_id: str) -> None:
        self._task(self._after_worker(job_id))

    def _worker_refused(self, job_id: str, error: MigrationError) -> None:
        """End a job that no process can be had for, unless there is something to undo.

        The next daemon takes that up: systemd starts nothing while the host goes down, say.
        """
        log.error("Job %s: %s", job_id, error)
        if not self.get(job_id).started_at:
            self._task(self._end(job_id, JobState.FAILED, error.name, str(error)))

    async def _after_worker(self, job_id: str) -> None:
        if job_id in self._board:  # it may be forgotten already
            await self._board.read_journal(job_id)
            if not self.get(job_id).state.final and not self._closed:
                await self._take_up(job_id)
            record = await asyncio.to_thread(self._store.record, job_id)
            if record.spec.get("migration", "") in self._board:  # it was settled, perhaps
                await self._board.read_journal(record.spec["migration"])
        self._begin_queued()
        await self._forget_old()

    async def _take_up(self, job_id: str) -> None:
        """Begin another worker for a job whose worker died: it undoes, or goes on."""
        if await asyncio.to_thread(self._store.count_death, job_id) < ATTEMPTS:
            log.warning("The worker of job %s died; another takes it up", job_id)
            self._spawn(job_id)
            return
        await self._end(
            job_id,
            JobState.INTERRUPTED,
            "Interrupted",
            f"{ATTEMPTS} workers of this job died, none could undo what was done.\n"
            "Its log may tell why; its report and journal tell what it had made.",
        )

    async def _end(self, job_id: str, state: JobState, name: str, message: str) -> None:
        """End a job that has no worker."""
        ended = {"state": state, "error_name": name, "error_message": message}
        await asyncio.to_thread(report.end, self._store, job_id, ended)
        await self._board.read_journal(job_id)

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("Following a job failed", exc_info=task.exception())
