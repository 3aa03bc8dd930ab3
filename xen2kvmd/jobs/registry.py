# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon's side of all jobs: begin, follow, cancel, forget."""

import asyncio
import logging
import os
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
    NotQueued,
    NotSettled,
)
from xen2kvmd.jobs import queue, vault
from xen2kvmd.jobs.admission import check_limits, check_not_needed, check_over, check_same
from xen2kvmd.jobs.board import Board, Watcher
from xen2kvmd.jobs.events import Receiver
from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.status import Event, JobState, JobStatus, fold
from xen2kvmd.jobs.store import JobRecord, Store, new_id, writing
from xen2kvmd.jobs.supervisor import CANCELLED, Supervisor
from xen2kvmd.jobs.tasks import Tasks
from xen2kvmd.model import Limits
from xen2kvmd.system import files

LONGEST_SLEEP = 60.0  # seconds: the host may be suspended meanwhile, or its clock set
LOOKS = 100  # for the end of the daemon before us, ten a second
DEFAULTS = Limits()

log = logging.getLogger(__name__)


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
        self._board.watch(self._forget_secrets)
        self._supervisor = Supervisor(
            self._store,
            self._board,
            events=events,
            worker=worker,
            in_units=in_units,
            freed=self._worker_ended,
        )
        self._tasks = Tasks()
        self._changing = asyncio.Lock()  # held while a job is made, forgotten, or written to
        self._touched: set[str] = set()  # queued jobs that we write to: not to be begun
        self._due: asyncio.TimerHandle | None = None
        self._resting = False
        self._ours: int | None = None  # holds the lock of all jobs

    def watch(self, watcher: Watcher) -> None:
        """Call watcher(old, new) at each change; old is None for a new job, new for a removed."""
        self._board.watch(watcher)

    async def start(self) -> None:
        """Read all jobs from disk, follow those that live, take up those whose worker died."""
        self._store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._take_over()
        self._receiver.open()
        await self._board.load()
        not_over = {status.id for status in self._board.all() if not status.state.final}
        await asyncio.to_thread(vault.sweep, self._events, not_over)
        for status in self._board.all():
            if not status.state.final:
                await self._supervisor.adopt(status.id)
        self._tasks.begin(asyncio.to_thread(self._store.keep_last))
        self.limit(self._limits)

    def rest(self) -> None:
        """Begin no more jobs: the next daemon begins those that are queued."""
        self._resting = True
        self._supervisor.rest()
        if self._due:
            self._due.cancel()

    async def close(self) -> None:
        """Stop following; workers go on."""
        self.rest()
        self._store.stop_keeping()
        await self._tasks.wait()
        await self._supervisor.close()
        self._receiver.close()
        if self._ours is not None:
            os.close(self._ours)
            self._ours = None

    async def _take_over(self) -> None:
        """Wait until the daemon before us has let go of the jobs: it may still be making one."""
        for _ in range(LOOKS):
            self._ours = await asyncio.to_thread(files.try_lock_folder, self._store.folder)
            if self._ours is not None:
                return
            await asyncio.sleep(0.1)
        log.error("Another xen2kvmd does not let go of %s", self._store.folder)

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
        secrets: Mapping[str, str] = vault.NOTHING,
    ) -> JobStatus:
        """Make a job, durably, and begin it if there is room. A job_id that exists returns its job.

        That is the same job whatever secrets come with it: one that is over has none any more, and
        by a hash of one that were kept to compare it, a passphrase could be guessed.

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
            check_limits(self.all(), record, limit=self._most)
            status = await asyncio.to_thread(self._make, record, secrets)
            self._board.change(status)
        self._begin_queued()
        return self.get(status.id)

    def _make(self, record: JobRecord, secrets: Mapping[str, str]) -> JobStatus:
        """Write down a job, its secrets first: the next daemon may begin what is written down."""
        folder = vault.folder_of(self._events, record.id)
        try:
            with writing(folder.parent):
                vault.keep(folder, secrets)
            return self._store.create(record)
        except MigrationError:
            vault.forget(folder)
            raise

    def _forget_secrets(self, old: JobStatus | None, new: JobStatus | None) -> None:
        """Remove the secrets of a job that is over now: not each worker comes so far."""
        if new and new.state.final and not (old and old.state.final):
            folder = vault.folder_of(self._events, new.id)
            self._tasks.begin(asyncio.to_thread(vault.forget, folder))

    async def cancel(self, job_id: str) -> None:
        """Ask a job to end and undo what it did. Raises NotCancellable once it is too late."""
        status = self.get(job_id)
        if status.state is JobState.CANCELLING:
            return
        if status.state is JobState.QUEUED and job_id not in self._supervisor:
            if await self._cancel_queued(job_id):
                return
        status = await asyncio.to_thread(self._store.cancel, job_id)
        await self._board.read_journal(job_id)
        if not status.cancellable:
            raise NotCancellable(
                f"The job {job_id} cannot be cancelled: it is {status.state}, step '{status.step}'."
            )
        status = self.get(job_id)
        if not status.state.final:  # it may have ended meanwhile, and have seen the mark
            self._board.change(fold(status, {"type": "cancelling"}))
            self._supervisor.terminate(job_id)

    async def _cancel_queued(self, job_id: str) -> bool:
        """End a job that has not begun; False if it turns out to have a worker, or to be over.

        Somebody may be moving it in the queue, or cancelling it: it is looked at after that.
        """
        async with self._changing:
            status = self.get(job_id)
            if status.state is not JobState.QUEUED or job_id in self._supervisor:
                return status.state is JobState.CANCELLED
            self._touched.add(job_id)
            try:
                return await self._supervisor.end(job_id, JobState.CANCELLED, *CANCELLED)
            finally:
                self._touched.discard(job_id)

    async def arrange(self, job_id: str, **change: Any) -> None:
        """Change held or priority of a job that has not begun. Raises NotQueued."""
        async with self._changing:
            if job_id in self._supervisor or self.get(job_id).state is not JobState.QUEUED:
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
        self._tasks.begin(self._forget_old())

    async def _forget_old(self) -> None:
        for status in tuple(queue.outdated(self.all(), self._limits, now=now())):
            with suppress(JobNotFound, Busy, NotSettled):  # somebody removed it, or needs it
                await self.remove(status.id)

    async def remove(self, job_id: str, *, force: bool = False) -> None:
        """Forget a job that is over. Raises NotFinished, and Busy while another settles it.

        Raises NotSettled for one that is needed, unless force.
        """
        async with self._changing:
            check_over(self.get(job_id), force=force)
            await asyncio.to_thread(check_not_needed, self._store, self.all(), job_id)
            await asyncio.to_thread(self._store.remove, job_id)
            self._board.forget(job_id)

    async def file(self, job_id: str, name: str) -> str:
        """Return the text of a file of the job. Raises NotFinished if it is not written yet."""
        self.get(job_id)
        return await asyncio.to_thread(self._store.text, job_id, name)

    async def log_lines(self, job_id: str, after: int, most: int) -> tuple[list[str], int]:
        """Return lines of a job's log from a byte on, and where the next is. Raises NotFinished."""
        self.get(job_id)
        return await asyncio.to_thread(self._store.log_lines, job_id, after, most)

    # --- the queue --------------------------------------------------------------------------------

    def _hear(self, job_id: str, event: Event) -> None:
        """Take in a worker's datagram; an event that comes after a lost one waits for the file."""
        if self._board.hear(job_id, event):
            self._tasks.begin(self._read_journal(job_id))

    async def _read_journal(self, job_id: str) -> None:
        with suppress(JobNotFound):  # it was removed meanwhile
            await self._board.read_journal(job_id)

    def _begin_queued(self) -> None:
        """Begin what can begin; look again when a job that waits for its time comes due."""
        if self._resting:
            return
        jobs = [status for status in self.all() if status.id not in self._touched]
        taken = {status.id for status in jobs if status.id in self._supervisor}
        for status in tuple(queue.ready(jobs, taken, self._limits, now=now())):
            self._supervisor.begin(status.id)
        if self._due:
            self._due.cancel()
            self._due = None
        if due := queue.next_due(jobs, now=now()):
            seconds = min((due - now()) / 1e6, LONGEST_SLEEP)
            self._due = asyncio.get_running_loop().call_later(seconds, self._begin_queued)

    def _worker_ended(self) -> None:
        if not self._resting:
            self._begin_queued()
            self._tasks.begin(self._forget_old())
