# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell the bus what happens to jobs.

A new job: InterfacesAdded, JobNew. Its end: PropertiesChanged, Finished, JobFinished. Between them
at most one PropertiesChanged in PERIOD, but at once where the state or the phase changed.
"""

import asyncio
import logging

from xen2kvmd.bus.callers import Callers
from xen2kvmd.bus.job import JobObject, properties
from xen2kvmd.bus.registry import Registry
from xen2kvmd.bus.service import Exported, Service
from xen2kvmd.jobs.status import JobStatus

log = logging.getLogger(__name__)

PERIOD = 0.5  # seconds


class Feed:
    """Keeps the Job objects, and what was told of each."""

    def __init__(self, service: Service, jobs: Registry, callers: Callers) -> None:
        self._service = service
        self._jobs = jobs
        self._callers = callers
        self._objects: dict[str, JobObject] = {}
        self._told: dict[str, dict[str, object]] = {}
        self._told_at: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self, manager: Exported) -> None:
        """Show the jobs there are, without a word, and begin to tell what happens to them."""
        self._manager = manager
        for status in self._jobs.all():
            self._show(status, announce=False)
        self._jobs.watch(self._hear)

    def object(self, job_id: str) -> JobObject:
        """Return a job's object. Raises JobNotFound."""
        self._jobs.get(job_id)
        return self._objects[job_id]

    @property
    def active(self) -> int:
        """Count the jobs that are not over."""
        return sum(not status.state.final for status in self._jobs.all())

    def close(self) -> None:
        """Tell no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _hear(self, old: JobStatus | None, new: JobStatus | None) -> None:
        """Take in a change; the jobs go on, whatever becomes of the telling."""
        try:
            if new is None:
                if old is not None:
                    self._removed(old)
            elif new.id not in self._objects:
                self._added(new)
            else:
                self._changed(old, new)
        except Exception:
            log.exception("What became of a job could not be told: %s", new or old)

    def _show(self, status: JobStatus, *, announce: bool) -> JobObject:
        shown = JobObject(status, self._jobs, self._callers)
        if status.state.final:
            shown.ended.set()
        self._objects[status.id] = shown
        self._service.manage(shown, announce=announce)
        return shown

    def _added(self, new: JobStatus) -> None:
        shown = self._show(new, announce=True)
        self._service.emit(self._manager, "JobNew", new.id, shown.path)
        self._service.changed(self._manager, ["ActiveJobs"])

    def _changed(self, old: JobStatus | None, new: JobStatus) -> None:
        shown = self._objects[new.id]
        self._told.setdefault(new.id, properties(shown.status))
        shown.status = new
        if old is None or (old.state, old.step) != (new.state, new.step):
            self._tell(new.id)
        elif new.id not in self._timers:
            loop = asyncio.get_running_loop()
            due = max(self._told_at.get(new.id, 0.0) + PERIOD, loop.time())
            self._timers[new.id] = loop.call_at(due, self._tell, new.id)
        if new.state.final and not shown.ended.is_set():
            shown.ended.set()
            ending = (new.state, new.error_name, new.error_message)
            self._service.emit(shown, "Finished", *ending)
            self._service.emit(
                self._manager, "JobFinished", new.id, shown.path, new.state, new.error_name
            )
            self._service.changed(self._manager, ["ActiveJobs"])

    def _removed(self, old: JobStatus) -> None:
        self._forget_timer(old.id)
        shown = self._objects.pop(old.id)
        self._told.pop(old.id, None)
        self._told_at.pop(old.id, None)
        self._service.unmanage(shown)
        self._service.emit(self._manager, "JobRemoved", old.id, shown.path)

    def _tell(self, job_id: str) -> None:
        """Send one PropertiesChanged with all that changed since the last."""
        self._forget_timer(job_id)
        shown, told = self._objects[job_id], self._told[job_id]
        now = properties(shown.status)
        changed = [name for name, value in now.items() if value != told[name]]
        if changed:
            self._told[job_id] = now
            self._told_at[job_id] = asyncio.get_running_loop().time()
            self._service.changed(shown, changed)

    def _forget_timer(self, job_id: str) -> None:
        timer = self._timers.pop(job_id, None)
        if timer:
            timer.cancel()
