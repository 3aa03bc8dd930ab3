# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs follow the configuration that the daemon has taken, whatever is saved after that."""

import os
from pathlib import Path

import pytest

from tests.jobs.lab import Lab
from xen2kvmd.errors import InvalidConfig
from xen2kvmd.jobs import hosts
from xen2kvmd.jobs.status import JobState


def said(lab: Lab, job: str) -> list[str]:
    return (lab.folder / "jobs" / job / "ssh").read_text().splitlines()


async def test_mistake_that_is_saved_later_changes_nothing_for_jobs(lab: Lab) -> None:
    conf, events = lab.folder / "xen2kvmd.conf", lab.folder / "events"
    conf.write_text("[Queue]\nMaxJobs=3\n[Host xen1]\nUser=mover\nRateLimit=7\n")
    assert hosts.take(conf, events).at_once == 3
    job = await lab.submit(one="ssh", two="wait", three="ssh")
    await lab.step(job, "two")

    conf.write_text("[Hst xen2]\n")
    with pytest.raises(InvalidConfig):
        hosts.take(conf, events)
    (lab.place / "go").touch()
    later = await lab.submit(vm="web2", one="ssh")
    for known, times in ((job, 2), (later, 1)):
        assert (await lab.end(known)).state is JobState.SUCCEEDED
        assert said(lab, known) == ["mover 7"] * times

    conf.write_text("[Host xen1]\nRateLimit=8\n")
    hosts.take(conf, events)
    mended = await lab.submit(one="ssh")
    await lab.end(mended)
    assert said(lab, mended) == [" 8"]


def test_what_cannot_be_kept_is_not_left_as_it_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, conf = tmp_path / "events", tmp_path / "xen2kvmd.conf"
    hosts.take(conf, events)
    assert hosts.file_of(events).stat().st_mode & 0o777 == 0o600

    def fail(_descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    hosts.take(conf, events)
    assert not hosts.file_of(events).exists()
