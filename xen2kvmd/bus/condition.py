# SPDX-License-Identifier: GPL-2.0-or-later
"""What systemd is told of the service, and shows of it: sd_notify(3), `systemctl status`.

The line says how many jobs run and wait. It is sent when one of these numbers changes, and once in
PERIOD at most; progress of a job changes none, and costs a comparison.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

from systemd.daemon import notify

from xen2kvmd.bus.registry import Registry
from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.model import Operation

PERIOD = 1.0  # seconds


class Condition:
    """Tells systemd how the service is."""

    def __init__(self, jobs: Registry) -> None:
        self._jobs = jobs
        self._mistake = ""
        self._told_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ready = False

    def begin(self) -> None:
        """Say what takes long before we are ready."""
        notify("STATUS=Reading the jobs")

    def ready(self) -> None:
        """Say that we are ready, and from now on what the jobs do."""
        self._jobs.watch(self._hear)
        self._ready = True
        notify("READY=1\n" + self._line())

    def configured(self, mistake: str = "") -> None:
        """Say whether the configuration has a mistake; that is said until it has none."""
        self._mistake = mistake
        self._tell()

    def end(self) -> None:
        """Say that we end, and nothing after that."""
        self._ready = False
        self._forget_timer()
        notify("STOPPING=1\nSTATUS=Ending")

    def go_on(self) -> None:
        """Say that we do not end after all."""
        self._ready = True
        self._tell()

    def _hear(self, old: JobStatus | None, new: JobStatus | None) -> None:
        """Take in a change of a job: one that is told late is told with those after it."""
        if self._ready and not self._timer and part(old) != part(new):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._told_at + PERIOD, loop.time()), self._tell)

    def _tell(self) -> None:
        self._forget_timer()
        if self._ready:
            self._told_at = asyncio.get_running_loop().time()
            notify(self._line())

    def _line(self) -> str:
        jobs = describe(self._jobs.all())
        wrong = f"; the configuration has a mistake: {self._mistake}" if self._mistake else ""
        return f"STATUS={jobs}{wrong}"

    def _forget_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def part(job: JobStatus | None) -> str:
    """Return which number a job is counted in; "" for one that is over."""
    if job is None or job.state.final:
        return ""
    if job.state is not JobState.QUEUED:
        return "running"
    return "held" if job.held else "queued"


def describe(jobs: Iterable[JobStatus]) -> str:
    """Say how many jobs run and wait: "Migrations: 2 running, 3 queued, 1 held"."""
    active = [job for job in jobs if part(job)]
    count = Counter(map(part, active))
    said = [f"{count[name]} {name}" for name in ("running", "queued", "held") if count[name]]
    what = "Jobs" if any(job.operation != Operation.MIGRATE for job in active) else "Migrations"
    return f"{what}: {', '.join(said)}" if said else "Ready"
