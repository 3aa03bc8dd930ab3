# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest is one job's at a time, by its UUID, until that job is over."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from xen2kvmd.errors import Busy
from xen2kvmd.jobs.claim import claim
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.jobs.store import JobRecord, Store

UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

Make = Callable[[str], Run]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Make]:
    store = Store(tmp_path / "jobs")
    with ExitStack() as open_ones:

        def make(job_id: str) -> Run:
            store.create(JobRecord(job_id, "migrate", "web1", "xen:///system", "", 0, 7, {}))
            folder = store.path(job_id)
            opened, sender = Journal(folder / "journal"), Sender(tmp_path / "events", job_id)
            open_ones.callback(opened.close)
            open_ones.callback(sender.close)
            return Run(job_id, folder, {}, opened, sender, cancelled=lambda: False)

        yield make


def test_guest_of_a_job_that_is_not_over_is_refused(job: Make) -> None:
    first, second = job("first"), job("second")
    claim(first, UUID)
    claim(first, UUID.upper())  # once more, as after a death of its worker
    with pytest.raises(Busy, match="job first works on it"):
        claim(second, UUID.upper())
    first.record("ended", state="failed")
    claim(second, UUID)
    with pytest.raises(Busy, match="job second works on it"):
        claim(job("third"), UUID)


def test_guest_of_a_job_that_was_removed_is_free(job: Make) -> None:
    first = job("first")
    claim(first, UUID)
    shutil.rmtree(first.folder)
    claim(job("second"), UUID)


@pytest.mark.parametrize("guest", ["", "web1", "../jobs/first"])
def test_what_is_no_uuid_claims_nothing(job: Make, tmp_path: Path, guest: str) -> None:
    claim(job("first"), guest)
    claim(job("second"), guest)
    assert not (tmp_path / "guests").exists()
