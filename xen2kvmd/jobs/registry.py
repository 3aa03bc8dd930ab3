# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon's side of all jobs: begin, follow, cancel, forget."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from xen2kvmd.errors import JobNotFound, MigrationError, NotCancellable, NotFinished
from xen2kvmd.jobs import report
from xen2kvmd.jobs.admission import check_room, check_same
from xen2kvmd.jobs.events import Receiver
from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.status import Event, JobState, JobStatus, fold
from xen2kvmd.jobs.store import JobRecord, Store, new_id
from xen2kvmd.jobs.workers import Workers
from xen2kvmd.system import files

log = logging.getLogger(__name__)

Watcher = Callable[[JobStatus | None, JobStatus | None], None]

ATTEMPTS = 3  # workers of one job that may die before we give up


class Jobs:
    """All jobs. Its methods are called in the event loop; disks are touched in threads."""

    def __init__(
        self,
        folder: Path,
        events: Path,
        *,
        limit: int = 1000,
        at_once: int = 2,
        worker: str = "xen2kvmd.job",
        in_units: bool = False,
    ) -> None:
        """Keep jobs in `folder`, hear of them at the socket `events`, run the module `worker`.

        limit is how many jobs may be queued or running, at_once how many workers there may be.
        """
        self._store = Store(folder)
        self._events = events
        self._receiver = Receiver(events, self._hear)
        self._limit = limit
        self._at_once = at_once
        self._jobs: dict[str, JobStatus] = {}
        self._workers = Workers(
            worker, ended=self._worker_ended, refused=self._worker_refused, in_units=in_units
        )
        self._watchers: list[Watcher] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()  # held while a job is made or forgotten
        self._ending: set[str] = set()  # queued jobs that are being cancelled: not to be begun
        self._closed = False

    def watch(self, watcher: Watcher) -> None:
        """Call watcher(old, new) at each change; old is None for a new job, new for a removed."""
        self._watchers.append(watcher)

    async def start(self) -> None:
        """Read all jobs from disk, follow those that live, take up those whose worker died."""
        self._store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._receiver.open()
        for status in await asyncio.to_thread(self._store.load):
            self._jobs[status.id] = status
        for status in list(self._jobs.values()):
            if not status.state.final:
                await self._adopt(status)
        self._begin_queued()

    async def close(self) -> None:
        """Stop following; workers go on."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        self._receiver.close()
        self._workers.close()

    def all(self) -> tuple[JobStatus, ...]:
        return tuple(self._jobs.values())

    def get(self, job_id: str) -> JobStatus:
        """Return a job. Raises JobNotFound."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise JobNotFound(f"There is no job {job_id}.", hint="See 'xen2kvm jobs'.") from None

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
            if job_id in self._jobs:
                check_same(await asyncio.to_thread(self._store.record, job_id), record)
                return self._jobs[job_id]
            check_room(self._jobs.values(), record, limit=self._limit)
            await asyncio.to_thread(self._store.create, record)
            status = record.status()
            self._change(status.id, status)
        self._begin_queued()
        return self._jobs[status.id]

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
            self._change(job_id, fold(status, {"type": "cancelling"}))
            self._workers.terminate(job_id)

    async def _cancel_queued(self, job_id: str) -> None:
        if job_id in self._ending:
            return
        self._ending.add(job_id)
        try:
            await asyncio.to_thread((self._store.path(job_id) / "cancel").touch)
            await self._end(job_id, JobState.CANCELLED, "Cancelled", "The job was cancelled.")
        finally:
            self._ending.discard(job_id)

    async def remove(self, job_id: str) -> None:
        """Forget a job that is over. Raises NotFinished."""
        async with self._changing:
            if not self.get(job_id).state.final:
                raise NotFinished(f"The job {job_id} is not over.", hint="Cancel it first.")
            await asyncio.to_thread(self._store.remove, job_id)
            old = self._jobs.pop(job_id)
        for watcher in self._watchers:
            watcher(old, None)

    async def file(self, job_id: str, name: str) -> str:
        """Return the text of a file of the job. Raises NotFinished if it is not written yet."""
        self.get(job_id)
        path = self._store.path(job_id) / name
        try:
            return await asyncio.to_thread(path.read_text, errors="replace")
        except FileNotFoundError:
            raise NotFinished(
                f"The job {job_id} has no {name}.",
                hint="It is written later, or the job ended before it could be.",
            ) from None

    # --- changes ----------------------------------------------------------------------------------

    def _change(self, job_id: str, new: JobStatus) -> None:
        old = self._jobs.get(job_id)
        if new == old:
            return
        self._jobs[job_id] = new
        for watcher in self._watchers:
            watcher(old, new)

    def _hear(self, job_id: str, event: Event) -> None:
        """Take in a worker's datagram; an event that comes after a lost one waits for the file."""
        status = self._jobs.get(job_id)
        if status is None or status.state.final:
            return
        if event.get("type") == "ended" or event.get("seq", 0) > status.seq + 1:
            self._task(self._read_journal(job_id))
            return
        new = fold(status, event)
        if status.state is JobState.CANCELLING and new.state is JobState.RUNNING:
            new = fold(new, {"type": "cancelling"})
        self._change(job_id, new)

    async def _read_journal(self, job_id: str) -> None:
        status = await asyncio.to_thread(self._store.status, job_id)
        known = self._jobs[job_id]
        if status.seq <= known.seq:
            return
        # Progress within a step is not in the journal, nor that we asked for a cancel.
        status = replace(status, progress=max(status.progress, known.progress))
        if known.state is JobState.CANCELLING and not status.state.final:
            status = fold(status, {"type": "cancelling"})
        self._change(job_id, status)

    # --- workers ----------------------------------------------------------------------------------

    def _begin_queued(self) -> None:
        for status in list(self._jobs.values()):
            if self._closed or len(self._workers) >= self._at_once:
                return
            waits = status.state is JobState.QUEUED and status.id not in self._ending
            if waits and status.id not in self._workers:
                self._spawn(status.id)

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
        if job_id in self._jobs:  # it may be forgotten already
            await self._read_journal(job_id)
            if not self._jobs[job_id].state.final and not self._closed:
                await self._take_up(job_id)
            record = await asyncio.to_thread(self._store.record, job_id)
            if record.spec.get("migration", "") in self._jobs:  # it was settled, perhaps
                await self._read_journal(record.spec["migration"])
        self._begin_queued()

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
        await self._read_journal(job_id)

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("Following a job failed", exc_info=task.exception())
