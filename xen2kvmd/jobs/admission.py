# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a new job may be made, or an old one removed; asked while no other job is being made."""

import json
import posixpath
from collections.abc import Iterable
from urllib.parse import urlsplit

from xen2kvmd.errors import Busy, InvalidOption, LimitExceeded, NotFinished, NotSettled
from xen2kvmd.jobs import queue
from xen2kvmd.jobs.status import JobStatus
from xen2kvmd.jobs.store import JobRecord, Store
from xen2kvmd.model import Operation

# Two of these on one guest would stop what the other starts.
ALONE = {Operation.MIGRATE, Operation.ROLLBACK, Operation.FINALIZE, Operation.BACKUP}
SETTLING = {Operation.ROLLBACK, Operation.FINALIZE}  # need the folder of the job that they settle
SSH = 22
JOBS_PER_USER = 16  # that are not over, unless the user is root


def check_limits(jobs: Iterable[JobStatus], asked: JobRecord, *, limit: int) -> None:
    """Raise LimitExceeded, or Busy if another job that starts or stops the guest is not over."""
    active = [status for status in jobs if not status.state.final]
    if len(active) >= limit:
        raise LimitExceeded(
            f"{len(active)} jobs are queued or running, which is the limit.",
            hint="Wait for some to end, or cancel some.",
        )
    check_user(active, asked)
    for status in active:
        same = (status.vm, plain(status.source)) == (asked.vm, plain(asked.source))
        if same and {status.operation, asked.operation} <= ALONE:
            raise Busy(
                f"Job {status.id} works on '{asked.vm}' already: {status.operation}.",
                hint=f"Follow it with 'xen2kvm follow {status.id}'.",
            )


def plain(source: str) -> str:
    """Return a source's URI in one spelling, to compare it; claim.py compares the guest's UUID."""
    try:
        parts = urlsplit(source)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return source
    where = f"{host}:{port}" if port not in (None, SSH) else host
    path = posixpath.normpath(f"/{parts.path.lstrip('/')}")
    if parts.scheme in ("xen", "xen+ssh") and path == "/":
        path = "/system"  # which is all that libvirt has of Xen
    return f"{parts.scheme}://{where}{path}"


def check_user(jobs: Iterable[JobStatus], asked: JobRecord) -> None:
    """Raise LimitExceeded for a user who has as many jobs as one may have; root may have all."""
    own = sum(job.owner_uid == asked.owner_uid and not job.state.final for job in jobs)
    if asked.owner_uid != 0 and own >= JOBS_PER_USER:
        raise LimitExceeded(
            f"{JOBS_PER_USER} of your jobs are not over, which is the limit.",
            hint="Wait for some to end, or cancel some.",
        )


def check_same(known: JobRecord, asked: JobRecord) -> None:
    """Raise InvalidOption unless a job that exists is the one asked for under its id once more.

    What an older version of us did not write down of it counts as the same.
    """
    ours = json.loads(json.dumps(dict(asked.spec)))  # lists for tuples, as job.json has them
    before = json.loads(json.dumps(dict(known.spec)))
    differing = [
        key for key in ("operation", "vm", "source", "target", "owner_uid")
        if getattr(known, key) != getattr(asked, key)
    ]  # fmt: skip
    differing += [key for key, value in before.items() if key not in ours or ours[key] != value]
    if differing:
        raise InvalidOption(
            f"The job-token was used for another call: its {differing[0]} was different.",
            hint="Use a token once.",
        )


def check_over(job: JobStatus, *, force: bool) -> None:
    """Raise NotFinished, or NotSettled, for a job that is not to be forgotten now."""
    if not job.state.final:
        raise NotFinished(f"The job {job.id} is not over.", hint="Cancel it first.")
    if force or not queue.is_needed(job):
        return
    if queue.is_open(job):
        raise NotSettled(
            f"The migration {job.id} is neither finalized nor rolled back; both need its job.",
            hint="Do one of them first. With --force the job is forgotten all the same.",
        )
    raise NotSettled(
        f"The job {job.id} could not undo all, and may keep what cannot be had elsewhere.",
        hint=f"See 'xen2kvm report {job.id}' for what is left. --force forgets it all the same.",
    )


def check_not_needed(store: Store, jobs: Iterable[JobStatus], job_id: str) -> None:
    """Raise Busy if a job that is not over settles this one, whose folder it reads."""
    for job in jobs:
        if job.state.final or job.operation not in SETTLING:
            continue
        if store.record(job.id).migration == job_id:
            raise Busy(f"The job {job.id} settles {job_id}.", hint="Wait for its end.")
