# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of a job that is over is the same as its journal tells, or is not used."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path

import pytest

from xen2kvmd.jobs import last
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.status import JobState, JobStatus
from xen2kvmd.jobs.store import JobRecord, Store

FINDING = {"id": "no-agent", "severity": "info", "message": "m", "hint": "h", "place": ""}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.create(JobRecord("job", "migrate", "web1", "xen:///system", "", 0, 7, {"hold": True}))
    journal = Journal(tmp_path / "job/journal")
    journal.append("started", steps=[["one", 1.0], ["two", 2.0]])
    journal.append("step-begun", step="one", cancellable=True)
    journal.append("step-done", step="one")
    journal.append("finding", finding=FINDING)
    journal.append("result", key="name", value="web1")
    journal.append("ended", state="succeeded", error_name="", error_message="")
    journal.close()
    return made


def test_it_is_what_the_journal_tells(store: Store) -> None:
    folded = store.status("job")
    assert folded.state is JobState.SUCCEEDED
    assert last.recall(store.path("job")) == folded
    (store.path("job") / "journal").write_text("x" * (store.path("job") / "journal").stat().st_size)
    assert store.status("job") == folded  # the journal was not read


def test_a_journal_that_has_grown_is_read(store: Store) -> None:
    store.status("job")
    journal = Journal(store.path("job") / "journal")
    journal.append("settled", how="rollback by job x")
    journal.close()
    assert store.status("job").result["settled"] == "rollback by job x"


@pytest.mark.parametrize("change", [{"schema": 0}, {"status": {}}, {"status": {"id": 1}}])
def test_what_makes_no_sense_is_not_used(store: Store, change: dict[str, object]) -> None:
    folded = store.status("job")
    path = store.path("job") / last.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert store.status("job") == folded
    path.write_text(path.read_text()[:40])
    assert store.status("job") == folded


def test_what_a_start_has_folded_is_kept_after_it(store: Store) -> None:
    (found,) = store.load()
    assert last.recall(store.path("job")) is None  # to write it would hold the start up
    store.keep_last()
    assert last.recall(store.path("job")) == found


def test_a_start_that_is_broken_off_keeps_no_more(store: Store) -> None:
    store.load()
    store.stop_keeping()
    store.keep_last()
    assert last.recall(store.path("job")) is None


def test_a_journal_that_grows_before_its_status_is_kept_is_read(store: Store) -> None:
    store.load()
    journal = Journal(store.path("job") / "journal")
    journal.append("settled", how="rollback by job x")
    journal.close()
    store.keep_last()
    assert store.status("job").result["settled"] == "rollback by job x"


def test_schema_is_raised_with_the_fields_that_are_kept() -> None:
    """Else what an older version kept is read as if it were ours: raise SCHEMA, then tell here."""
    shape = repr([(field.name, str(field.type)) for field in fields(JobStatus)])
    assert (last.SCHEMA, hashlib.sha256(shape.encode()).hexdigest()[:12]) == (4, "385a5f834724")


def test_nothing_is_kept_of_a_job_that_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create(JobRecord("job", "migrate", "web1", "xen:///system", "", 0, 7, {}))
    store.status("job")
    assert not (tmp_path / "job" / last.NAME).exists()
