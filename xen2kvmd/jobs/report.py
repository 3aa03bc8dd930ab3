# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left to read of a job when it is over: a JSON document, and the same as a page."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xen2kvmd.jobs import journal, page
from xen2kvmd.jobs.going_back import going_back
from xen2kvmd.jobs.journal import Journal, now
from xen2kvmd.jobs.status import Event
from xen2kvmd.jobs.store import JobRecord, Store, writing
from xen2kvmd.system import files

log = logging.getLogger(__name__)

SCHEMA = 1  # raised when a key changes its meaning or goes


def write(
    record: JobRecord, events: Sequence[Event], ended: Mapping[str, Any], folder: Path
) -> None:
    """Write report.json and report.html of a job that is about to end as `ended` says.

    The page is for people: a fault in drawing it is logged, and never fails the job.
    """
    document = make(record, events, ended, plan=_plan(folder))
    files.write_atomic(folder / "report.json", json.dumps(document, indent=1) + "\n")
    try:
        files.write_atomic(folder / "report.html", page.render(document, folder))
    except Exception:
        log.exception("report.html could not be written")


def write_again(store: Store, job_id: str) -> None:
    """Write the report of a job that is over as its journal has it now; a fault is logged."""
    folder = store.path(job_id)
    events = journal.read(folder / "journal")
    try:
        ended = next(event for event in reversed(events) if event["type"] == "ended")
        write(store.record(job_id), events, ended, folder)
    except Exception:
        log.exception("The report of job %s could not be written again", job_id)


def end(store: Store, job_id: str, ended: Mapping[str, Any]) -> None:
    """End a job that has no worker: its journal is the one thing that must be written."""
    folder = store.path(job_id)
    with writing(store.folder):
        opened = Journal(folder / "journal")
        try:
            try:
                write(store.record(job_id), opened.events, ended, folder)
            except Exception:
                log.exception("The report of job %s could not be written", job_id)
            opened.append("ended", **ended)
        finally:
            opened.close()


def make(
    record: JobRecord,
    events: Sequence[Event],
    ended: Mapping[str, Any],
    *,
    plan: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the report as a document; plan is what plan.json holds, or empty."""
    job = asdict(record)
    del job["spec"]  # as asked for: job.json has it
    document = {
        "schema": SCHEMA,
        "job": job,
        "guest": plan.get("source_name") or record.vm,
        "state": ended["state"],
        "finished_at": ended.get("time") or now(),
        "error_name": ended["error_name"],
        "error_message": ended["error_message"],
        "error_said": ended.get("error_said", ""),
        "downtime": downtime(events),
        "bytes": plan.get("bytes_total", 0),
        "steps": _steps(events),
        "in_place": record.in_place,
        "settled": _settled(events),
        "waived": list(record.waived),
        "findings": [event["finding"] for event in events if event["type"] == "finding"],
        "disks": list(plan.get("disks", ())),
        "boot_files": list(plan.get("boot_files", ())),
        "changes": list(plan.get("changes", ())),
        "results": _results(events),
        "made": {event["key"]: event["value"] for event in events if event["type"] == "note"},
    }
    return document | {"go_back": going_back(document)}


def downtime(events: Sequence[Event]) -> float | None:
    """Return the seconds from our asking the guest to shut down until it, or the source, ran again.

    None where the job shut nothing down, or nothing runs yet: then only its users know.
    """
    begun: int | None = None
    ended: int | None = None
    for event in events:
        match event:
            case {"type": "note", "key": "shutdown-asked", "time": time}:
                begun = begun or time
            case {"type": "result", "key": "boot", "time": time}:
                ended = time
            case {"type": "step-undone", "step": "shutdown", "time": time}:
                ended = time
    if begun is None or ended is None:
        return None
    return round((ended - begun) / 1e6, 1)


def _settled(events: Sequence[Event]) -> str:
    """Return how a migration that is over was accepted or gone back on, "" if it was not."""
    return next((str(one["how"]) for one in reversed(events) if one["type"] == "settled"), "")


def _results(events: Sequence[Event]) -> dict[str, str]:
    """Return the results, without those that another job has taken back since."""
    told = {event["key"]: event["value"] for event in events if event["type"] == "result"}
    return {key: value for key, value in told.items() if value}


def _plan(folder: Path) -> Mapping[str, Any]:
    try:
        plan: Mapping[str, Any] = json.loads((folder / "plan.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return plan


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
