# SPDX-License-Identifier: GPL-2.0-or-later
"""A source goes down only when its job has all that it needs of this host."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cattrs
import pytest

from xen2kvmd.errors import Cancelled, InsufficientSpace
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import SourceDisk
from xen2kvmd.steps import turn
from xen2kvmd.steps.operations import NATIVE
from xen2kvmd.steps.reserve import RESERVE
from xen2kvmd.steps.turn import Turn
from xen2kvmd.system import files

MIB = 1 << 20
FREE = 100 * MIB
Make = Callable[..., Run]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make jobs that have a plan, each with a disk of 60 of the 100 MiB that are free."""
    monkeypatch.setattr(files, "free", lambda _folder: FREE)
    with ExitStack() as opened:

        def make(name: str, **notes: Any) -> Run:
            folder = tmp_path / "jobs" / name
            folder.mkdir(parents=True)
            journal, sender = Journal(folder / "journal"), Sender(tmp_path / "socket", name)
            opened.callback(journal.close)
            opened.callback(sender.close)
            spec = {"operation": "migrate", "vm": name, "source": "test:///default"}
            run = Run(name, folder, spec, journal, sender, cancelled=lambda: False)
            disk = SourceDisk("xvda", "/src/xvda", "raw", 80 * MIB, 60 * MIB)
            run.notes |= {"disks": cattrs.unstructure([disk]), **notes}
            return run

        yield make


def test_turn_of_virt_v2v_is_waited_for_before_the_source_goes_down(job: Make) -> None:
    first, second = job("j1", engine="v2v"), job("j2", engine="v2v")
    turn.take(first)
    looks = iter((False, True))
    second.cancelled = lambda: next(looks)
    with pytest.raises(Cancelled):
        RESERVE.do(second)
    names = [step.name for step in NATIVE]
    assert names.index(RESERVE.name) < names.index("shutdown")


def test_turn_is_kept_over_the_shutdown_and_passed_on(job: Make) -> None:
    first, second = job("j1"), job("j2")
    second.cancelled = lambda: True
    turn.take(first)
    first.release(but=Turn)
    turn.take(first)
    with pytest.raises(Cancelled):
        turn.take(second)
    turn.pass_on(first)
    turn.take(second)
    second.release()
    turn.take(first)


def test_room_for_what_virt_v2v_writes_is_looked_at_before(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InsufficientSpace, match=r"virt-v2v's disks in .*/jobs/j1/scratch"):
        RESERVE.do(job("j1", engine="v2v"))
    monkeypatch.setattr(files, "free", lambda _folder: 100 * FREE)
    RESERVE.do(job("j2", engine="v2v"))
