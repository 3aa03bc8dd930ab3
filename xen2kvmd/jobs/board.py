# SPDX-License-Identifier: GPL-2.0-or-later
"""The status of all jobs; watchers are told of each change."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from xen2kvmd.errors import JobNotFound
from xen2kvmd.jobs.status import Event, JobState, JobStatus, fold
from xen2kvmd.jobs.store import Store

Watcher = Callable[[JobStatus | None, JobStatus | None], None]


class Board:
    """The status of each job, from its journal and from what its worker tells between."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: dict[str, JobStatus] = {}
        self._watchers: list[Watcher] = []

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def watch(self, watcher: Watcher) -> None:
        """Call watcher(old, new) at each change; old is None for a new job, new for a removed."""
        self._watchers.append(watcher)

    def all(self) -> tuple[JobStatus, ...]:
        return tuple(self._jobs.values())

    def get(self, job_id: str) -> JobStatus:
        """Return a job. Raises JobNotFound."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise JobNotFound(f"There is no job {job_id}.", hint="See 'xen2kvm jobs'.") from None

    async def load(self) -> None:
        """Read all jobs from disk; nobody is told."""
        self._jobs |= {job.id: job for job in await asyncio.to_thread(self._store.load)}

    def change(self, new: JobStatus) -> None:
        """Take in a new job, or what became of one."""
        old = self._jobs.get(new.id)
        if new != old:
            self._jobs[new.id] = new
            self._tell(old, new)

    def forget(self, job_id: str) -> None:
        """Take a job out."""
        self._tell(self._jobs.pop(job_id), None)

    def hear(self, job_id: str, event: Event) -> bool:
        """Take in a worker's event; return whether the journal is to be read: events were lost."""
        status = self._jobs.get(job_id)
        if status is None or status.state.final:
            return False
        if event.get("type") == "ended" or event.get("seq", 0) > status.seq + 1:
            return True
        new = fold(status, event)
        if status.state is JobState.CANCELLING and new.state is JobState.RUNNING:
            new = fold(new, {"type": "cancelling"})
        self.change(new)
        return False

    async def read_journal(self, job_id: str) -> None:
        """Take in what a job's journal tells that is not known yet. Raises JobNotFound."""
        status = await asyncio.to_thread(self._store.status, job_id)
        known = self.get(job_id)  # it may be forgotten by now
        if status.seq <= known.seq:
            return
        # Progress within a step is not in the journal, nor that we asked for a cancel.
        status = replace(status, progress=max(status.progress, known.progress))
        if known.state is JobState.CANCELLING and not status.state.final:
            status = fold(status, {"type": "cancelling"})
        self.change(status)

    def _tell(self, old: JobStatus | None, new: JobStatus | None) -> None:
        for watcher in self._watchers:
            watcher(old, new)
