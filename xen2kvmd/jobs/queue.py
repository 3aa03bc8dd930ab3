# SPDX-License-Identifier: GPL-2.0-or-later
"""Which jobs begin, which wait, and which are forgotten: decided from the jobs there are."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.model import Limits, Operation

DAY = 86_400_000_000  # microseconds


def ready(
    jobs: Iterable[JobStatus], running: Collection[str], limits: Limits, *, now: int
) -> Iterator[JobStatus]:
    """Yield the queued jobs that can begin, those of the highest priority first, then the oldest.

    running are the ids of jobs that have a worker, whatever their state. A job that has to wait for
    a source's host or a target lets others pass.
    """
    known = tuple(jobs)
    pools = _pools(known)
    busy = Counter[tuple[str, str]]()
    for status in known:
        if status.id in running:
            busy.update(_takes(status, pools))
    most = {"all": limits.at_once, "source": limits.source, "target": limits.target}
    for status in sorted(known, key=lambda job: (-job.priority, job.created_at)):
        if status.state is not JobState.QUEUED or status.id in running:
            continue
        if status.held or status.not_before > now:
            continue
        takes = _takes(status, pools)
        if any(busy[place] >= (most[place[0]] or len(known)) for place in takes):
            continue
        busy.update(takes)
        yield status


def _pools(jobs: Iterable[JobStatus]) -> Mapping[str, str]:
    """Return the pools that have the folders which jobs were to write to, as far as any has told.

    What the youngest told counts: a pool may get another folder.
    """
    told = sorted(jobs, key=lambda job: job.created_at)
    return dict(pair for job in told for pair in job.same)


def _takes(status: JobStatus, pools: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return the limits that a job counts towards, each once."""
    return {
        (kind, pools.get(name, name) if kind == "target" else name) for kind, name in status.takes
    }


def next_due(jobs: Iterable[JobStatus], *, now: int) -> int:
    """Return when the next job may begin that is not to begin earlier; 0 if there is none."""
    waiting = (job.not_before for job in jobs if job.state is JobState.QUEUED and not job.held)
    return min((time for time in waiting if time > now), default=0)


def outdated(jobs: Iterable[JobStatus], limits: Limits, *, now: int) -> Iterator[JobStatus]:
    """Yield the jobs that are over and not to be kept any longer.

    One that is needed is kept, and not counted.
    """
    over = [job for job in jobs if job.state.final and not is_needed(job)]
    over.sort(key=lambda job: job.finished_at, reverse=True)
    for place, job in enumerate(over):
        too_many = limits.kept and place >= limits.kept
        too_old = limits.days and now - job.finished_at > limits.days * DAY
        if too_many or too_old:
            yield job


def is_needed(job: JobStatus) -> bool:
    """Tell whether a job that is over has in its folder what a person may need.

    That is so of a migration that can be rolled back, and of a job that could not undo all: the
    only definition of a guest that was replaced may be there.
    """
    return is_open(job) or is_left_half(job)


def is_left_half(job: JobStatus) -> bool:
    """Tell whether a job failed, and left something that could not be undone."""
    if job.operation in (Operation.GUESTS, Operation.INSPECT, Operation.PLAN):
        return False  # they only read
    if job.state is JobState.INTERRUPTED:
        return bool(job.started_at)
    left = any(finding["id"] == "left-behind" for finding in job.findings)
    return left and job.state in (JobState.FAILED, JobState.CANCELLED)


def is_open(job: JobStatus) -> bool:
    """Tell whether a job is a migration that can still be rolled back or finalized."""
    succeeded = job.operation == Operation.MIGRATE and job.state is JobState.SUCCEEDED
    return succeeded and not job.result.get("settled")
