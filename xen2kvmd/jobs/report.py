# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left to read of a job when it is over: one JSON document."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.status import Event, JobState
from xen2kvmd.jobs.store import JobRecord
from xen2kvmd.system import files

SCHEMA = 1  # raised when a key changes its meaning or goes


def write(record: JobRecord, events: Sequence[Event], state: JobState, path: Path) -> None:
    """Write the report of a job that is about to end in `state`."""
    job = asdict(record)
    del job["spec"]  # as asked for: job.json has it
    rollback = next((event for event in events if event["type"] == "rollback"), {})
    document = {
        "schema": SCHEMA,
        "job": job,
        "state": state,
        "finished_at": now(),
        "error_name": rollback.get("error_name", ""),
        "error_message": rollback.get("error_message", ""),
        "steps": _steps(events),
        "findings": [event["finding"] for event in events if event["type"] == "finding"],
        "results": {event["key"]: event["value"] for event in events if event["type"] == "result"},
        "made": {event["key"]: event["value"] for event in events if event["type"] == "note"},
    }
    files.write_atomic(path, json.dumps(document, indent=1) + "\n")


def _steps(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return each step that began, with its time and what became of it."""
    steps: dict[str, dict[str, Any]] = {}
    for event in events:
        match event["type"]:
            case "step-begun":
                steps[event["step"]] = {
                    "name": event["step"],
                    "begun_at": event["time"],
                    "seconds": 0.0,
                    "outcome": "failed",
                }
            case "step-done":
                _close(steps[event["step"]], event, "done")
            case "rollback":
                for step in steps.values():
                    if step["outcome"] == "failed":
                        _close(step, event, "failed")
            case "step-undone":
                steps[event["step"]]["undone"] = True
    return list(steps.values())


def _close(step: dict[str, Any], event: Event, outcome: str) -> None:
    step["seconds"] = round((event["time"] - step["begun_at"]) / 1e6, 1)
    step["outcome"] = outcome
