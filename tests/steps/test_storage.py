# SPDX-License-Identifier: GPL-2.0-or-later
"""What an export holds is told, and agreed to, once it is mounted: before the shutdown.

libvirt's test driver has the pool, and mounts nothing: its folder is a real one.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cattrs
import pytest

from xen2kvmd.errors import Blocked, PlanChanged
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Case, Facts, Plan, PlannedDisk, SourceDisk, Target, Volume
from xen2kvmd.steps import context, storage
from xen2kvmd.steps.operations import NATIVE
from xen2kvmd.steps.storage import STORAGE
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.targets import NfsExport

EXPORT = "nas1:/exports/vm"
SOURCE = """
<domain type="xen"><name>web1</name><memory>65536</memory><os><type>linux</type></os></domain>
"""
Make = Callable[..., Run]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(storage, "target_host", lambda _request: connected("test:///default"))
    with connected("test:///default") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path, host: Host) -> Iterator[Path]:
    """Where the export is to be mounted, by a pool that does not run yet."""
    folder = tmp_path / "netfs"
    folder.mkdir()
    export = NfsExport(host, EXPORT)
    host.define_pool(re.sub("<path>.*</path>", f"<path>{folder}</path>", export.document()))
    yield folder
    host.stop_pool(export.name)
    host.undefine_pool(export.name)


@pytest.fixture
def job(tmp_path: Path, folder: Path) -> Iterator[Make]:
    """Make a job whose plan has seen nothing of the export."""
    home = tmp_path / "jobs/j1"
    home.mkdir(parents=True)
    journal, sender = Journal(home / "journal"), Sender(tmp_path / "socket", "j1")
    with closing(journal), closing(sender):

        def make(*, source: str = "/src/xvda", size: int = 1 << 20, **asked: Any) -> Run:
            spec = {
                "operation": "migrate",
                "vm": "web1",
                "source": "xen:///system",
                "nfs_export": EXPORT,
                "overwrite": True,
                **asked,
            }
            run = Run("j1", home, spec, journal, sender, cancelled=lambda: False)
            volume = Volume("xvda", str(folder / "web1-vda.qcow2"), "qcow2", "", "web1-vda.qcow2")
            disk = SourceDisk("xvda", source, "raw", size, size)
            case = Case(target=Target("web1", volumes=(volume,)))
            run.notes |= {"disks": cattrs.unstructure([disk]), "case": cattrs.unstructure(case)}
            disks = (PlannedDisk(disk, volume, "vda"),)
            plan = Plan("web1", "web1", Facts(), disks, (), (), "", 0, 0, 0)
            context.write(run, "plan.json", json.dumps(cattrs.unstructure(plan)))
            context.write(run, "source.xml", SOURCE)
            return run

        yield make


def found(run: Run) -> list[str]:
    return [event["finding"]["id"] for event in run.journal.events if event["type"] == "finding"]


def test_nothing_is_told_of_an_export_that_has_nothing_of_ours(job: Make) -> None:
    run = job(plan_digest="sha256:0")
    STORAGE.do(run)
    assert found(run) == []


def test_what_the_plan_could_not_see_is_told_before_the_shutdown(job: Make, folder: Path) -> None:
    (folder / "web1-vda.qcow2").touch()
    run = job()
    STORAGE.do(run)
    assert found(run) == ["overwrites"]
    names = [step.name for step in NATIVE]
    assert names.index(STORAGE.name) < names.index("shutdown")


def test_nobody_has_agreed_to_what_the_plan_could_not_see(
    job: Make, folder: Path, host: Host
) -> None:
    (folder / "web1-vda.qcow2").touch()
    run = job(plan_digest="sha256:0")
    with pytest.raises(PlanChanged, match=r"web1-vda\.qcow2.*could not see the export nas1:"):
        STORAGE.do(run)
    STORAGE.undo(run)
    assert not host.pool_is_active(NfsExport(host, EXPORT).name)


@pytest.mark.parametrize("mounted", ["there", "elsewhere, too"])
def test_source_on_the_export_is_not_replaced(
    job: Make, folder: Path, tmp_path: Path, mounted: str
) -> None:
    """The host may have mounted it twice; here a link has the other path."""
    disk = folder / "web1-vda.qcow2"
    disk.touch()
    other = tmp_path / "other"
    other.hardlink_to(disk)
    with pytest.raises(Blocked, match="overwrites-source"):
        STORAGE.do(job(source=str(disk if mounted == "there" else other)))


def test_room_that_may_not_suffice_on_the_export_is_waived_before_the_shutdown(job: Make) -> None:
    run = job(size=1 << 60)
    with pytest.raises(Blocked, match="room-uncertain"):
        STORAGE.do(run)
    STORAGE.do(job(size=1 << 60, waive=["room-uncertain"]))
    assert found(run) == ["room-uncertain", "room-uncertain"]  # of either
