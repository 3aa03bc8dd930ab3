# SPDX-License-Identifier: GPL-2.0-or-later
"""What events make of a job's status."""

from dataclasses import fields, replace

import pytest

from xen2kvmd.jobs.status import _FOLDS, JobState, JobStatus, fold

QUEUED = JobStatus("j1", "migrate", "web1", "xen:///system", "default", 0, 1)
EVERYTHING = {
    "time": 5, "steps": [["copy", 3]], "step": "copy", "cancellable": True, "fraction": 0.5,
    "finding": {"id": "x"}, "key": "uuid", "value": "v", "how": "finalize", "state": "failed",
    "asked": "/srv", "pool": "fast", "priority": 7, "held": True, "held_by": 3,
}  # fmt: skip


@pytest.mark.parametrize("kind", _FOLDS)
def test_each_event_changes_fields_that_a_status_has_in_a_copy(kind: str) -> None:
    """dataclasses.replace() would say so; fold does without it."""
    before = replace(QUEUED)
    after = fold(QUEUED, {"seq": 1, "type": kind, **EVERYTHING})
    assert vars(after).keys() == {field.name for field in fields(JobStatus)}
    assert before == QUEUED != after


def test_events_at_once_are_the_same_as_one_after_another() -> None:
    events = [
        {"seq": number, "type": kind, **EVERYTHING} for number, kind in enumerate(_FOLDS, start=1)
    ]
    status = QUEUED
    for event in events:
        status = fold(status, event)
    assert fold(QUEUED, *events) == status


def test_event_that_came_before_counts_once() -> None:
    done = {"seq": 2, "type": "step-done", "step": "copy"}
    assert fold(QUEUED, done, done).steps_done == ("copy",)
    assert fold(fold(QUEUED, done), {"seq": 1, "type": "cancelling"}).state is JobState.QUEUED


def test_progress_is_the_weights_of_what_is_done_and_does_not_go_back() -> None:
    started = fold(QUEUED, {"type": "started", "time": 1, "steps": [["copy", 3], ["define", 1]]})
    assert not started.progress_valid
    copying = fold(started, {"type": "step-begun", "step": "copy", "cancellable": True})
    assert (copying.progress_valid, copying.progress) == (True, 0.0)
    half = fold(copying, {"type": "progress", "fraction": 0.5})
    assert half.progress == 0.375
    assert fold(half, {"type": "progress", "fraction": 0.1}).progress == 0.375
    assert fold(half, {"type": "step-done", "step": "copy"}).progress == 0.75
