# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a job: a fold over the events of its journal.

The worker writes the events, the daemon folds them; both agree because both use `fold`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Event = Mapping[str, Any]
Fields = dict[str, object]  # of a JobStatus


class JobState(StrEnum):
    """State of a job; the last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)


@dataclass(frozen=True)
class JobStatus:
    """A job as its observers see it.

    Times are microseconds since the epoch, 0 where not yet; sizes are bytes; rate is bytes per
    second. progress is the share of the whole job, 0.0 to 1.0, and means nothing unless
    progress_valid. step names the step under way ("rollback" while undoing), activity what it is at
    for longer, in words; "" where there is nothing to say.
    """

    id: str
    operation: str
    vm: str
    source: str
    target: str
    owner_uid: int
    created_at: int
    takes: tuple[tuple[str, str], ...] = ()  # places in the queue: see places.py
    same: tuple[tuple[str, str], ...] = ()  # a folder of these, and the pool that has it
    priority: int = 0  # of those queued, the highest begins first
    not_before: int = 0
    held: bool = False  # it stays queued until it is released
    held_by: int = -1  # uid of who held it; -1: its owner, from the beginning
    state: JobState = JobState.QUEUED
    step: str = ""
    activity: str = ""
    progress: float = 0.0
    progress_valid: bool = False
    bytes_done: int = 0
    bytes_total: int = 0
    rate: int = 0
    started_at: int = 0
    finished_at: int = 0
    expected_end_at: int = 0
    cancellable: bool = True
    error_name: str = ""
    error_message: str = ""
    findings: tuple[Mapping[str, str], ...] = ()
    result: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[tuple[str, float], ...] = ()  # of the steps, in order
    steps_done: tuple[str, ...] = ()
    seq: int = 0  # of the last event folded


def fold(status: JobStatus, *events: Event) -> JobStatus:
    """Return the status after events; one of an unknown type, or seen already, changes nothing.

    Half a million events are folded when a start reads the journals of 10,000 jobs: the new status
    is filled while nobody else has it, for dataclasses.replace() takes a second per 150,000.
    """
    new = object.__new__(JobStatus)
    fields = vars(new)
    fields.update(vars(status))
    for event in events:
        seq = event.get("seq", 0)
        if seq and seq <= new.seq:
            continue  # a datagram and the journal both told it
        if change := _FOLDS.get(str(event.get("type"))):
            fields.update(change(new, event))
        if seq:
            fields["seq"] = seq
    return new


# --- what an event changes: fields and their values -----------------------------------------------


def _arranged(status: JobStatus, event: Event) -> Fields:
    """Somebody held, released or moved a queued job."""
    return {key: event[key] for key in ("priority", "held", "held_by") if key in event}


def _started(status: JobStatus, event: Event) -> Fields:
    return {
        "state": JobState.RUNNING,
        "started_at": status.started_at or event["time"],
        "weights": tuple((name, float(weight)) for name, weight in event["steps"]),
    }


def _placed(status: JobStatus, event: Event) -> Fields:
    """The target's libvirt told which pool has the folder that was asked for."""
    return {"same": (*status.same, (event["asked"], event["pool"]))}


def _step_begun(status: JobStatus, event: Event) -> Fields:
    return {
        "step": event["step"],
        "activity": "",
        "cancellable": event["cancellable"],
        "bytes_done": 0,
        "bytes_total": 0,
        "rate": 0,
        "expected_end_at": 0,
        "progress_valid": status.progress_valid or any(weight for _, weight in status.weights),
    }


def _step_done(status: JobStatus, event: Event) -> Fields:
    done = (*status.steps_done, event["step"])
    return {"steps_done": done} | _at(status, done)


def _progress(status: JobStatus, event: Event) -> Fields:
    return {
        "activity": event.get("activity", ""),
        "bytes_done": event.get("bytes_done", 0),
        "bytes_total": event.get("bytes_total", 0),
        "rate": event.get("rate", 0),
        "expected_end_at": event.get("expected_end_at", 0),
    } | _at(status, status.steps_done, current=status.step, fraction=event["fraction"])


def _finding(status: JobStatus, event: Event) -> Fields:
    return {"findings": (*status.findings, event["finding"])}


def _result(status: JobStatus, event: Event) -> Fields:
    """A result came, or with an empty value went: another job removed what it names."""
    result = {**status.result, event["key"]: event["value"]}
    return {"result": {key: value for key, value in result.items() if value}}


def _settled(status: JobStatus, event: Event) -> Fields:
    """A migration that is over was finalized or rolled back by another job."""
    return {"result": {**status.result, "settled": event["how"]}}


def _finishing(_status: JobStatus, _event: Event) -> Fields:
    """All steps are done, and what is left is to write the report."""
    return {"cancellable": False}


def _cancelling(_status: JobStatus, _event: Event) -> Fields:
    return {"state": JobState.CANCELLING, "cancellable": False}


def _rollback(_status: JobStatus, _event: Event) -> Fields:
    return {
        "step": "rollback",
        "activity": "",
        "cancellable": False,
        "rate": 0,
        "expected_end_at": 0,
    }


def _ended(status: JobStatus, event: Event) -> Fields:
    state = JobState(event["state"])
    return {
        "state": state,
        "finished_at": event["time"],
        "activity": "",
        "error_name": event.get("error_name", ""),
        "error_message": event.get("error_message", ""),
        "cancellable": False,
        "rate": 0,
        "expected_end_at": 0,
        "progress": 1.0 if state is JobState.SUCCEEDED else status.progress,
    }


def _at(
    status: JobStatus, steps_done: Collection[str], *, current: str = "", fraction: float = 0.0
) -> Fields:
    """Return the progress: the weights of the steps done and a part of the one under way."""
    total = done = part = 0.0
    for name, weight in status.weights:
        total += weight
        if name in steps_done:
            done += weight
        elif name == current:
            part = weight
    if not total:
        return {}
    share = min((done + part * min(max(fraction, 0.0), 1.0)) / total, 1.0)
    return {"progress": max(share, status.progress), "progress_valid": True}


_FOLDS: Mapping[str, Callable[[JobStatus, Event], Fields]] = {
    "arranged": _arranged,
    "started": _started,
    "placed": _placed,
    "step-begun": _step_begun,
    "step-done": _step_done,
    "progress": _progress,
    "finding": _finding,
    "result": _result,
    "settled": _settled,
    "finishing": _finishing,
    "cancelling": _cancelling,
    "rollback": _rollback,
    "ended": _ended,
}
