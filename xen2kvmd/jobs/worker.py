# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the steps of one job, and undoing them."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from xen2kvmd import errors
from xen2kvmd.errors import Cancelled, Internal, Interrupted, MigrationError
from xen2kvmd.jobs import leftovers, patience, report, vault
from xen2kvmd.jobs import log as job_log
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.status import JobState
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.jobs.stop import Stop
from xen2kvmd.jobs.store import Store
from xen2kvmd.model import Finding, Severity
from xen2kvmd.words import one_line

log = logging.getLogger(__name__)

RESUMED = 2  # times at most that a job goes on; what kills its workers may be the job itself


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
        secrets=vault.folder_of(events, job_id),
    )
    run.notes.update(
        (event["key"], event["value"]) for event in run.journal.events if event["type"] == "note"
    )
    error = _died_before(run, steps, stop, resumes=record.resumes)
    begun = any(event["type"] == "started" for event in run.journal.events)
    run.record("started", steps=[[step.name, step.weight] for step in steps])
    if begun:
        _clear(run)
    if error is None:
        if begun:
            _tell_resumed(run)
        error = _forward(run, steps, stop)
    if error is not None and _is_past_return(run, steps):
        _tell_left_behind(run, "What was left to be done failed", error)
        error = None
    if error is not None:
        stop.heed()
        _back(run, steps, error, shutdown=stop.shutdown)
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    vault.forget(run.secrets)
    ended = {
        "state": _final_state(error),
        "error_name": error.name if error else "",
        "error_message": str(error) if error else "",
        "error_said": error.said if error else "",
    }
    report.write(store.record(job_id), run.journal.events, ended, folder)
    run.record("ended", **ended)


def _died_before(
    run: Run, steps: Sequence[Step], stop: Stop, *, resumes: bool
) -> MigrationError | None:
    """Return why the job must be undone if an earlier process of it died, None if it goes on."""
    for event in run.journal.events:
        if event["type"] == "rollback":
            said = event.get("error_said", "")
            return errors.from_name(event["error_name"], event["error_message"], said)
    if _is_past_return(run, steps):
        return None
    deaths = sum(event["type"] == "started" for event in run.journal.events)
    if deaths and stop.marked():
        return Cancelled("The job was cancelled after its process had died.")
    if deaths > (RESUMED if resumes else 0):
        return Interrupted(
            "The job's process died before it was done; what it had made was removed.",
            hint="The log of the job and the system's journal may tell why. Start it again.",
        )
    return None


def _tell_resumed(run: Run) -> None:
    at = _standing(run)
    where = f"in step {at[-1]}" if at else "before its first step"
    run.finding(
        Finding(
            "resumed",
            f"The job's process ended {where}; another one went on from there.",
            severity=Severity.INFO,
            hint="The log of the job and the system's journal may tell why it ended.",
        )
    )


def _is_past_return(run: Run, steps: Sequence[Step]) -> bool:
    """Tell whether a final step has begun."""
    begun = _standing(run)
    return any(step.final and step.name in begun for step in steps)


def _clear(run: Run) -> None:
    """Clear what the earlier process left, as far as that can be done."""
    try:
        leftovers.clear(run)
    except Exception as failure:
        log.exception("What an earlier process left could not be removed")
        _tell_left_behind(run, "What the job's earlier process left is not removed", failure)


def _standing(run: Run) -> list[str]:
    """Return the steps that have begun and are not undone, in the order in which they began."""
    standing: dict[str, None] = {}
    for event in run.journal.events:
        if event["type"] == "step-begun":
            standing[event["step"]] = None
        elif event["type"] == "step-undone":
            standing.pop(event["step"], None)
    return list(standing)


def _forward(run: Run, steps: Sequence[Step], stop: Stop) -> MigrationError | None:
    """Run the steps that are not done; return what went wrong."""
    done = {event["step"] for event in run.journal.events if event["type"] == "step-done"}
    half = set(_standing(run)) - done
    name = "start"
    try:
        for step in steps:
            name = step.name
            if name in done:
                continue
            job_log.step(name)
            with _not_cancelled(run, stop):
                run.record("step-begun", step=name, cancellable=step.cancellable)
            log.info("Step %s %s", name, "goes on" if name in half else "begins")
            _do(run, step, half=name in half)
            run.record("step-done", step=name)
        with _not_cancelled(run, stop):
            run.record("finishing")
    except Exception as error:
        if stop.marked():
            return Cancelled(f"The job was cancelled in step {name}.")
        if stop.wanted():
            raise Stopped from error
        if isinstance(error, MigrationError):
            log.error("Step %s failed: %s %s", name, error, error.said)
            return error
        log.exception("Step %s failed", name)
        told, said = _words(error)
        return Internal(
            f"Internal error in step {name}: {told}.",
            hint="This is a fault of xen2kvm: please report it with the log of the job.",
            said=said,
        )
    finally:
        _release(run)
    return None


@contextmanager
def _not_cancelled(run: Run, stop: Stop) -> Iterator[None]:
    """Write down in the block what may make it too late for a cancel: nobody cancels meanwhile.

    Raises Cancelled if somebody has, whether the signal has come yet or not.
    """
    with run.journal.locked():
        if stop.marked():
            raise Cancelled("The job was cancelled.")
        run.check_cancelled()
        yield


def _do(run: Run, step: Step, *, half: bool) -> None:
    """Do a step; an earlier process may have done half of it."""
    if half and step.go_on:
        step.go_on(run)
        return
    if half:
        step.undo(run)
    step.do(run)


def _release(run: Run) -> None:
    """Close what the steps kept open; after a failure it may be broken, which is no news."""
    try:
        run.release()
    except Exception:
        log.exception("What the steps kept open could not be closed in order")


def _back(
    run: Run, steps: Sequence[Step], error: MigrationError, *, shutdown: Callable[[], bool]
) -> None:
    """Undo the steps that have begun, last first; what cannot be undone is a finding.

    A host that is out of reach is waited for: one time for all of them together. Raises Stopped if
    this host shuts down meanwhile.
    """
    standing, until = _standing(run), patience.limit()
    if not any(event["type"] == "rollback" for event in run.journal.events):
        _record_rollback(run, error)
    for step in reversed(steps):
        if step.name not in standing:
            continue
        job_log.step(step.name)
        log.info("Step %s is undone", step.name)
        run.undoing(f"undoing {step.name}")
        try:
            waiting = partial(_tell_waiting, run, step, shutdown)
            patience.patiently(partial(step.undo, run), until=until, waiting=waiting)
        except Stopped:
            raise
        except Exception as failure:
            log.exception("Undo of %s failed", step.name)
            _tell_left_behind(run, f"Undo of step {step.name} failed", failure)
        else:
            run.record("step-undone", step=step.name)


def _tell_waiting(run: Run, step: Step, shutdown: Callable[[], bool], why: str) -> None:
    if shutdown():
        raise Stopped
    run.undoing(f"waiting to undo {step.name}: {why}")


def _tell_left_behind(run: Run, what: str, failure: Exception) -> None:
    hint, (message, said) = "", _words(failure)
    if isinstance(failure, MigrationError):
        message, hint, said = failure.message, failure.hint, failure.said
    run.finding(
        Finding(
            "left-behind",
            f"{what}: {message}",
            hint=hint or "Look at the report for what the job had made; remove it by hand.",
            said=said,
        )
    )


def _words(failure: Exception) -> tuple[str, str]:
    """Return what everybody may read of an exception that is none of ours, and what may not be.

    The system's errors tell of this host; others may quote what was read in a guest.
    """
    words = one_line(str(failure))
    return (words, "") if isinstance(failure, OSError) else (type(failure).__name__, words)


def _record_rollback(run: Run, error: MigrationError) -> None:
    """Write down that the job goes back; where the disk is full, its scratch files make room."""
    told = {
        "error_name": error.name,
        "error_message": str(error),
        "error_said": error.said,
    }
    try:
        run.record("rollback", **told)
    except OSError as failure:
        log.error("The journal cannot be written to: %s; the job's scratch files go", failure)
        shutil.rmtree(run.folder / "scratch", ignore_errors=True)
        run.record("rollback", **told)


def _final_state(error: MigrationError | None) -> JobState:
    if error is None:
        return JobState.SUCCEEDED
    return JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED
