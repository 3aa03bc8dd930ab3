# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration is accepted, or gone back on, also where its source's host is out of reach."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cattrs
import libvirt
import pytest

from xen2kvmd.errors import ConnectionFailed, InvalidOption, PoolNotFound
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.jobs.store import JobRecord, Store
from xen2kvmd.model import BackupPlace, Case, Facts, Operation, Plan, Request, Settlement
from xen2kvmd.steps import finalize, rollback
from xen2kvmd.steps.finalize import FINALIZE
from xen2kvmd.steps.rollback import ROLLBACK
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.system.libvirt_domain import NAMESPACE
from xen2kvmd.targets import backups

UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
MADE = f"""
<domain type="test">
  <name>web1</name>
  <uuid>{UUID}</uuid>
  <memory>65536</memory>
  <os><type>hvm</type></os>
  <metadata><x:migration xmlns:x="{NAMESPACE}" job="m1"/></metadata>
</domain>
"""
SOURCE = MADE.replace("hvm", "linux").replace('type="test"', 'type="xen"')
GONE = "xen+ssh://root@127.0.0.1:1/system"
RETIRE = FINALIZE[0]
CLEAR = FINALIZE[-2]
Make = Callable[..., Run]


@pytest.fixture
def settling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make the job that settles the migration m1, whose source's libvirt is out of reach."""
    store = Store(tmp_path / "jobs")
    request = Request(Operation.MIGRATE, GONE, vm="web1")
    plan = Plan("web1", "web1", Facts(), (), (), (), MADE, 0, 0, 0)
    spec = cattrs.unstructure(request)
    store.create(JobRecord("m1", "migrate", "web1", request.source, "", 0, 0, spec))
    (store.path("m1") / "source.xml").write_text(SOURCE)
    (store.path("m1") / "plan.json").write_text(json.dumps(cattrs.unstructure(plan)))
    over = Journal(store.path("m1") / "journal")
    over.append("note", key="case", value=cattrs.unstructure(Case()))
    over.append("ended", state="succeeded")
    over.close()
    store.path("f1").mkdir()
    journal, sender = Journal(store.path("f1") / "journal"), Sender(tmp_path / "socket", "f1")

    with connected("test:///default") as host:

        @contextmanager
        def target(_request: object) -> Iterator[Host]:
            yield host

        for step in (finalize, rollback):
            monkeypatch.setattr(step, "target_host", target)
        host.define(MADE)

        def make(
            operation: Operation = Operation.FINALIZE, source: str = GONE, **asked: Any
        ) -> Run:
            migration = JobRecord(
                "m1", "migrate", "web1", source, "", 0, 0, spec | {"source": source}
            )
            (store.path("m1") / "job.json").write_text(json.dumps(asdict(migration)))
            settlement = cattrs.unstructure(Settlement(operation, "m1", **asked))
            return Run("f1", store.path("f1"), settlement, journal, sender, cancelled=lambda: False)

        yield make
        if domain := host.domain("web1"):
            domain.undefine(nvram=False)
    journal.close()
    sender.close()


def test_source_that_is_out_of_reach_is_told_with_the_way_on(settling: Make) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        RETIRE.do(settling())
    assert "--source-gone" in caught.value.hint


def test_source_that_is_gone_is_left_and_found(settling: Make) -> None:
    run = settling(source_gone=True)
    for step in FINALIZE:
        step.do(run)
    found = [event["finding"] for event in run.journal.events if event["type"] == "finding"]
    assert [finding["id"] for finding in found] == ["source-not-reached"]
    FINALIZE[-1].undo(run)
    RETIRE.undo(run)
    run.release()


def test_source_that_is_gone_is_not_undefined(settling: Make) -> None:
    with pytest.raises(InvalidOption, match="'web1' cannot be undefined"):
        RETIRE.do(settling(source_gone=True, undefine_source="web1"))


def test_source_that_is_a_file_cannot_be_undefined(settling: Make, tmp_path: Path) -> None:
    (tmp_path / "web1.xml").write_text(SOURCE)
    run = settling(source=f"libvirtxml:{tmp_path}/web1.xml", undefine_source="web1")
    with pytest.raises(InvalidOption, match="'web1' cannot be undefined: it is a file"):
        RETIRE.do(run)


def test_source_that_may_start_with_its_host_is_told(
    settling: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver of a xend before 3.0.4 has no call for it."""

    def refuse(*_: object) -> None:
        error = libvirt.libvirtError("this function is not supported")
        error.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, "", 2, "", "", "", 0, 0)
        raise error

    monkeypatch.setattr(libvirt.virDomain, "setAutostart", refuse)
    run = settling(source="test:///default")
    RETIRE.do(run)
    found = [event["finding"] for event in run.journal.events if event["type"] == "finding"]
    assert found[0]["id"] == "source-may-start"
    (result,) = [event["value"] for event in run.journal.events if event["type"] == "result"]
    assert result.startswith("may start with its host")


def test_source_is_undefined_when_all_else_has_gone(
    settling: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its libvirt would be out of reach; nobody gets that far, for the backup's pool is gone."""
    monkeypatch.setattr(backups, "connected", lambda: connected("test:///default"))
    run, kept = settling(undefine_source="web1", remove_backup=True), tmp_path / "kept.xml"
    kept.touch()
    run.note("retired", value=True)
    with closing(Journal(tmp_path / "jobs/m1/journal")) as over:
        place = cattrs.unstructure(BackupPlace("/nas", "web1-m1-", "gone"))
        over.append("note", key=backups.PLACE, value=place)
        over.append("note", key=backups.DEVS, value=["xvda"])
        over.append("result", key="backup", value=str(kept))
    with pytest.raises(PoolNotFound, match="'gone'"):
        CLEAR.do(run)
    assert kept.exists()


def test_target_stays_off_while_nobody_knows_of_the_source_and_that_is_told(
    settling: Make,
) -> None:
    """The Xen host went away while the target was shut down for it."""
    run = settling(Operation.ROLLBACK)
    run.note("fenced", {"ran": True, "autostart": False})
    with pytest.raises(ConnectionFailed, match="stays off, for the source may run") as raised:
        ROLLBACK[0].undo(run)
    assert "virsh -c qemu:///system start -- web1" in raised.value.hint
    with connected("test:///default") as host:
        target = host.domain("web1")
        assert target
        assert not target.is_active()
