# SPDX-License-Identifier: GPL-2.0-or-later
"""What the look at the converted guest finds is told; only a blocker that is not waived counts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Finding, Severity
from xen2kvmd.steps.convert import judge

FOUND = (
    Finding("menu-names-xen", "The menu has hvc0.", Severity.WARNING),
    Finding("no-boot-code", "The disk has no boot code.", Severity.BLOCKER),
)


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "socket", "1")
    waived = getattr(request, "param", ())
    spec = {"operation": "migrate", "source": "libvirtxml:/x.xml", "waive": list(waived)}
    yield Run("1", tmp_path, spec, journal, sender, cancelled=lambda: False)
    journal.close()
    sender.close()


def told(run: Run) -> list[str]:
    return [event["finding"]["id"] for event in run.journal.events if event["type"] == "finding"]


def test_blocker_fails_the_job_and_all_is_told(run: Run) -> None:
    with pytest.raises(Failed, match=r"no boot code\. \[no-boot-code\]"):
        judge(run, FOUND)
    assert told(run) == ["menu-names-xen", "no-boot-code"]


@pytest.mark.parametrize("run", [("no-boot-code",)], indirect=True)
def test_waived_blocker_is_told_and_no_more(run: Run) -> None:
    judge(run, FOUND)
    assert told(run) == ["menu-names-xen", "no-boot-code"]
