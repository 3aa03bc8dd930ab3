# SPDX-License-Identifier: GPL-2.0-or-later
"""Following a job: a bar on a terminal, a line now and then elsewhere, JSON lines for programs."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from xen2kvmd.cli.service import CallFailed, Service
from xen2kvmd.words import amount, duration

# Seconds between two lines of the same step where there is no terminal: with news, and without.
LINE_EVERY = 10.0
SAME_EVERY = 60.0

Job = dict[str, Any]


async def follow(
    service: Service,
    path: str,
    *,
    as_json: bool,
    quiet: bool = False,
    on_plan: Callable[[], Awaitable[None]] | None = None,
) -> Job:
    """Show a job's progress until it is over; return its last properties.

    on_plan is called when the job has made its plan. Ctrl-C ends the following and not the job,
    which says how to go on.
    """
    shown = _Nothing() if quiet else _Json() if as_json else _Bar() if _terminal() else _Lines()
    job: Job = {}
    try:
        async for job in service.follow(path):
            if on_plan and "plan-digest" in job["Result"]:
                with shown.paused(), suppress(CallFailed):  # tried again at the next look
                    await on_plan()
                    on_plan = None
            shown.show(job)
    except asyncio.CancelledError:
        shown.close()
        if job:
            print(f"\nThe job goes on. Follow it: xen2kvm follow {job['Id']}", file=sys.stderr)
            print(f"Cancel it:                 xen2kvm cancel {job['Id']}", file=sys.stderr)
        raise
    shown.close()
    return job


def _terminal() -> bool:
    return sys.stderr.isatty()


class _Nothing:
    def show(self, job: Job) -> None:
        """Show nothing."""

    def close(self) -> None:
        """End."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to somebody else."""
        yield


class _Json(_Nothing):
    def show(self, job: Job) -> None:
        with suppress(BrokenPipeError):
            print(json.dumps(job), flush=True)


class _Lines(_Nothing):
    """A line at each step; within one for what is new, and else now and then."""

    def __init__(self) -> None:
        self._step: tuple[str, str] = ("", "")
        self._said: tuple[str, str] = ("", "")
        self._time = 0.0

    def show(self, job: Job) -> None:
        now = time.monotonic()
        step = (job["State"], job["Phase"])
        said = (f"{job['Progress']:4.0%}", job["Activity"])
        wait = LINE_EVERY if said != self._said else SAME_EVERY if job["ProgressValid"] else inf
        if step == self._step and now - self._time < wait:
            return
        self._step, self._said, self._time = step, said, now
        print(f"{said[0]}  {_label(job):<12} {_detail(job)}".rstrip(), file=sys.stderr)


class _Bar(_Nothing):
    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[detail]}"),
            console=Console(stderr=True),
            transient=False,
            expand=True,
        )
        self._task: TaskID = self._progress.add_task("queued", total=1.0, detail="")
        self._progress.start()

    def show(self, job: Job) -> None:
        self._progress.update(
            self._task,
            completed=job["Progress"],
            description=_label(job),
            detail=_detail(job),
        )

    def close(self) -> None:
        self._progress.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._progress.stop()
        yield
        self._progress.start()


def _label(job: Job) -> str:
    return str(job["Phase"]) if job["State"] == "running" and job["Phase"] else str(job["State"])


def _detail(job: Job) -> str:
    """Return bytes, rate and time left, or else what the step is at."""
    if not job["BytesTotal"]:
        return str(job["Activity"])
    text = f"{amount(job['BytesDone'])} of {amount(job['BytesTotal'])}"
    if job["Rate"]:
        text += f"  {amount(job['Rate'])}/s"
    if job["ExpectedEndTime"]:
        text += f"  {duration(max(0.0, job['ExpectedEndTime'] / 1e6 - time.time()))} left"
    return text
