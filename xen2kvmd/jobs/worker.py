# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the steps of one job, and undoing them."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from xen2kvmd import errors
from xen2kvmd.errors import Cancelled, Internal, Interrupted, MigrationError
from xen2kvmd.jobs import log as job_log
from xen2kvmd.jobs import report
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.status import JobState
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.jobs.stop import Stop
from xen2kvmd.jobs.store import Store

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The host shuts down: the job goes on later."""


def work(store: Store, job_id: str, events: Path, steps: Sequence[Step]) -> None:
    """Run a job from where its journal ends. The caller holds the job's lock.

    Raises Stopped if the process was told to end without a cancel; the journal stays open then.
    """
    folder = store.path(job_id)
    record = store.record(job_id)
    stop = Stop(folder / "cancel")
    run = Run(
        id=job_id,
        folder=folder,
        spec=record.spec,
        journal=Journal(folder / "journal"),
        sender=Sender(events, job_id),
        cancelled=stop.wanted,
    )
    run.notes.update(
        (event["key"], event["value"]) for event in run.journal.events if event["type"] == "note"
    )
    error = _died_before(run)
    run.record("started", steps=[[step.name, step.weight] for step in steps])
    if error is None:
        error = _forward(run, steps, stop)
    if error is not None:
        stop.heed()
        _back(run, steps, error)
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    ended = {
        "state": _final_state(error),
        "error_name": error.name if error else "",
        "error_message": str(error) if error else "",
    }
    report.write(store.record(job_id), run.journal.events, ended, folder)
    run.record("ended", **ended)


def _died_before(run: Run) -> MigrationError | None:
    """Return why the job must be undone if an earlier process of it died."""
    for event in run.journal.events:
        if event["type"] == "rollback":
            return errors.from_name(event["error_name"], event["error_message"])
    if any(event["type"] == "started" for event in run.journal.events):
        return Interrupted(
            "The job's process died before it was done; what it had made was removed.",
            hint="The log of the job and the system's journal may tell why. Start it again.",
        )
    return None


def _forward(run: Run, steps: Sequence[Step], stop: Stop) -> MigrationError | None:
    """Run the steps; return what went wrong."""
    name = "start"
    try:
        for step in steps:
            name = step.name
            job_log.step(name)
            run.check_cancelled()
            run.record("step-begun", step=name, cancellable=step.cancellable)
            log.info("Step %s begins", name)
            step.do(run)
            run.record("step-done", step=name)
    except Exception as error:
        if stop.cancelled():
            return Cancelled(f"The job was cancelled in step {name}.")
        if stop.wanted():
            raise Stopped from error
        if isinstance(error, MigrationError):
            log.error("Step %s failed: %s", name, error)
            return error
        log.exception("Step %s failed", name)
        return Internal(
            f"Internal error in step {name}: {error}.",
            hint="This is a fault of xen2kvm: please report it with the log of the job.",
        )
    finally:
        _release(run)
    return None


def _release(run: Run) -> None:
    """Close what the steps kept open; after a failure it may be broken, which is no news."""
    try:
        run.release()
    except Exception:
        log.exception("What the steps kept open could not be closed in order")


def _back(run: Run, steps: Sequence[Step], error: MigrationError) -> None:
    """Undo the steps that have begun, last first; what cannot be undone is a finding."""
    begun = {event["step"] for event in run.journal.events if event["type"] == "step-begun"}
    undone = {event["step"] for event in run.journal.events if event["type"] == "step-undone"}
    if not any(event["type"] == "rollback" for event in run.journal.events):
        run.record("rollback", error_name=error.name, error_message=str(error))
    for step in reversed(steps):
        if step.name not in begun - undone:
            continue
        job_log.step(step.name)
        log.info("Step %s is undone", step.name)
        try:
            step.undo(run)
        except Exception as failure:
            log.exception("Undo of %s failed", step.name)
            run.finding(
                {
                    "id": "left-behind",
                    "severity": "warning",
                    "message": f"Undo of step {step.name} failed: {failure}",
                    "hint": "Look at the report for what the step had made, and remove it by hand.",
                }
            )
        else:
            run.record("step-undone", step=step.name)


def _final_state(error: MigrationError | None) -> JobState:
    if error is None:
        return JobState.SUCCEEDED
    return JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED
