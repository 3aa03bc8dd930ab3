# SPDX-License-Identifier: GPL-2.0-or-later
"""The service as it is, over jobs that do what a test says on our standard input.

A line in is a JSON object, a line out its answer. Jobs for guests of some names misbehave.
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from xen2kvmd.bus import library
from xen2kvmd.bus.callers import Callers
from xen2kvmd.bus.registry import Watcher
from xen2kvmd.bus.serve import serve
from xen2kvmd.errors import (
    InvalidConfig,
    JobNotFound,
    NotCancellable,
    NotFinished,
    NotQueued,
    NotSettled,
)
from xen2kvmd.jobs.admission import check_same, check_user
from xen2kvmd.jobs.log import read_lines
from xen2kvmd.jobs.status import JobState, JobStatus, fold
from xen2kvmd.jobs.store import JobRecord

SECRET = "secret=/root/key"


class ToldJobs:
    """Jobs without workers: their events come from the test."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobStatus] = {}
        self.specs: dict[str, Mapping[str, Any]] = {}
        self.secrets: dict[str, Mapping[str, str]] = {}
        self.records: dict[str, JobRecord] = {}
        self.watchers: list[Watcher] = []
        self.files: dict[tuple[str, str], str] = {}

    async def start(self) -> None:
        await asyncio.sleep(float(os.environ.get("TEST_SLOW_START", "0")))
        for job_id in filter(None, os.environ.get("TEST_JOBS", "").split()):
            self.jobs[job_id] = _status(job_id, "migrate", "web1", "xen:///", "", 0)
        loop = asyncio.get_running_loop()
        with suppress(PermissionError):  # started by the bus, with nobody to tell us anything
            loop.add_reader(0, self._listen)

    def rest(self) -> None:
        pass

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(0)

    def watch(self, watcher: Watcher) -> None:
        self.watchers.append(watcher)

    def all(self) -> tuple[JobStatus, ...]:
        return tuple(self.jobs.values())

    def get(self, job_id: str) -> JobStatus:
        if job_id not in self.jobs:
            raise JobNotFound(f"There is no job {job_id}.")
        return self.jobs[job_id]

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
        secrets: Mapping[str, str],
    ) -> JobStatus:
        asked = JobRecord(job_id, operation, vm, source, target, owner_uid, 0, spec)
        if job_id in self.jobs:
            check_same(self.records[job_id], asked)
            return self.jobs[job_id]
        check_user(self.all(), asked)
        await asyncio.sleep(0.5 if vm == "slow" else 0)
        job_id = job_id or f"20260101-000000-{len(self.specs):08x}"
        self.records[job_id] = asked
        self.specs[job_id] = json.loads(json.dumps(spec))
        self.secrets[job_id] = secrets
        self._change(None, _status(job_id, operation, vm, source, target, owner_uid))
        return self.jobs[job_id]

    async def arrange(self, job_id: str, **change: Any) -> None:
        status = self.get(job_id)
        if status.state is not JobState.QUEUED:
            raise NotQueued("It has begun.")
        self._change(status, fold(status, {"type": "arranged", **change}))

    async def cancel(self, job_id: str) -> None:
        status = self.get(job_id)
        if status.state.final:
            raise NotCancellable("It is over.")
        self._change(status, fold(status, {"type": "cancelling"}))

    async def remove(self, job_id: str, *, force: bool = False) -> None:
        if not self.get(job_id).state.final:
            raise NotFinished("It is not over.")
        if self.get(job_id).result.get("kept") and not force:
            raise NotSettled("It is needed.")
        self._change(self.jobs[job_id], None)

    async def file(self, job_id: str, name: str) -> str:
        match self.get(job_id).vm:
            case "boom":
                raise RuntimeError(SECRET)
            case "cancelled":
                raise asyncio.CancelledError
            case "misfit":
                return 7  # type: ignore[return-value]
            case "hang":
                await asyncio.sleep(3600)
        with suppress(KeyError):
            return self.files[job_id, name]
        raise NotFinished(f"The job {job_id} has no {name}.")

    async def log_lines(self, job_id: str, after: int, most: int) -> tuple[list[str], int]:
        with tempfile.NamedTemporaryFile() as log:
            log.write((await self.file(job_id, "log")).encode())
            log.flush()
            return read_lines(Path(log.name), after, most=most)

    def _change(self, old: JobStatus | None, new: JobStatus | None) -> None:
        if new:
            self.jobs[new.id] = new
        elif old:
            del self.jobs[old.id]
        for watcher in self.watchers:
            watcher(old, new)

    # --- the test's orders ------------------------------------------------------------------------

    def _listen(self) -> None:
        line = sys.stdin.buffer.readline()
        if not line:
            asyncio.get_running_loop().remove_reader(0)
            return
        order = json.loads(line)
        answer = getattr(self, "do_" + order.pop("do"))(**order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def do_events(self, job: str, events: list[dict[str, Any]]) -> None:
        """Fold events into a job, one after another."""
        for event in events:
            old = self.jobs[job]
            self._change(old, fold(old, {"time": time.time_ns() // 1000, **event}))

    def do_write(self, job: str, name: str, text: str) -> None:
        self.files[job, name] = text

    def do_own(self, job: str, uid: int) -> None:
        """Let a job be another user's."""
        self._change(self.jobs[job], replace(self.jobs[job], owner_uid=uid))

    def do_spec(self, job: str) -> object:
        return self.specs[job]

    def do_secrets(self, job: str) -> object:
        return dict(self.secrets[job])

    def do_stall(self, seconds: float) -> None:
        time.sleep(seconds)

    def do_stats(self) -> dict[str, int]:
        gc.unfreeze()  # what was there at the start is in no list else
        callers = next(item for item in gc.get_objects() if isinstance(item, Callers))
        return {
            "descriptors": len(os.listdir("/proc/self/fd")),
            "signatures": library.signatures_kept(),
            "callers": callers.known(),
            "tasks": len(asyncio.all_tasks()),
        }

    def do_library(self) -> str:
        return library.MessageBus.__module__.partition(".")[0]


def reload() -> None:
    """Find a mistake in the configuration."""
    raise InvalidConfig("/etc/xen2kvm/xen2kvmd.conf:7: MaxJobs=many is no number.")


def _status(
    job_id: str, operation: str, vm: str, source: str, target: str, owner: int
) -> JobStatus:
    return JobStatus(job_id, operation, vm, source, target, owner, time.time_ns() // 1000)


if __name__ == "__main__":
    idle = float(os.environ.get("TEST_IDLE", "0"))
    connect = int(os.environ.get("TEST_CONNECT_TIMEOUT", "30"))
    jobs = ToldJobs()
    serving = serve(jobs, max_active=64, reload=reload, idle_timeout=idle, connect_timeout=connect)
    sys.exit(asyncio.run(serving))
