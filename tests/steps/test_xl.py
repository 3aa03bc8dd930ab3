# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that xl runs is not copied, and not started a second time: a script in xl's place."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cattrs
import pytest

from tests.libvirt_test_driver import URI, own_host
from xen2kvmd import plan
from xen2kvmd.errors import VmRunning
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.jobs.store import JobRecord, Store
from xen2kvmd.model import Facts, Finding, Operation, Plan, Request
from xen2kvmd.steps import shutdown
from xen2kvmd.steps import xl as xl_step
from xen2kvmd.steps.find import find
from xen2kvmd.system import kvm

XL = """#!/bin/sh
case "$*" in
"domid -- web1") exec test -e {folder}/runs ;;
*) exec test "$*" = list ;;
esac
"""
GUEST = """<domain type='xen'><name>web1</name><memory>65536</memory>
<os><type>hvm</type></os><devices><disk type='file'><source file='{disk}'/><target dev='xvda'/>
</disk></devices></domain>"""
FILE = "libvirtxml:/x"
Begin = Callable[[Operation, str], Run]


@pytest.fixture
def xl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that makes the guest run, of a host that runs under Xen."""
    (tmp_path / "xl").write_text(XL.format(folder=tmp_path))
    (tmp_path / "xl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(kvm, "under_xen", lambda: True)
    return tmp_path / "runs"


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin a job with the guest of a file or a libvirt, whose one disk is there."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    store = Store(tmp_path / "jobs")
    with ExitStack() as stack:

        def made(operation: Operation, source: str) -> Run:
            name = operation.value
            store.create(JobRecord(name, operation, "web1", source, "", 0, 7, {}))
            folder = store.path(name)
            journal, sender = Journal(folder / "journal"), Sender(tmp_path / "events", name)
            stack.callback(journal.close)
            stack.callback(sender.close)
            document = GUEST.format(disk=disk) if source == FILE else ""
            asked = Request(operation, source, "web1", document)
            spec = cattrs.unstructure(asked)
            return Run(name, folder, spec, journal, sender, cancelled=lambda: False)

        yield made


def look(run: Run) -> list[str]:
    """Look for the guest; return what is told of it."""
    find(run, cattrs.structure(run.spec, Request))
    return [finding["message"] for finding in run.notes["source-findings"]]


def test_guest_may_be_shut_down_while_the_plan_is_agreed_to() -> None:
    told = Finding(xl_step.ID, "The guest runs.")
    digests = {
        plan._digest(Plan("web1", "web1", Facts(), (), (), findings, "", 0, 0, 0))
        for findings in ((), (told,))
    }
    assert len(digests) == 1


@pytest.mark.parametrize("operation", [Operation.MIGRATE, Operation.BACKUP])
def test_guest_that_xl_runs_is_not_copied(operation: Operation, begin: Begin, xl: Path) -> None:
    xl.touch()
    with pytest.raises(VmRunning, match="'web1' runs on this host") as caught:
        look(begin(operation, FILE))
    assert caught.value.hint.endswith("xl shutdown web1")


def test_plan_tells_that_xl_runs_the_guest(begin: Begin, xl: Path) -> None:
    xl.touch()
    run = begin(Operation.PLAN, FILE)
    (told,) = look(run)
    assert "'web1' runs on this host" in told
    assert run.notes["source-state"] == "running"


def test_guest_that_xl_starts_meanwhile_is_noticed(begin: Begin, xl: Path) -> None:
    run = begin(Operation.MIGRATE, FILE)
    assert look(run) == []
    shutdown.do(run)
    xl.touch()
    for check in (shutdown.do, shutdown.check_unchanged, shutdown.check_off):
        with pytest.raises(VmRunning, match="'web1' runs on this host"):
            check(run)


def test_guest_of_which_nobody_knows_is_told_once(begin: Begin) -> None:
    run = begin(Operation.MIGRATE, FILE)
    (told,) = look(run)
    assert "is not known" in told
    shutdown.do(run)
    assert not [event for event in run.journal.events if event["type"] == "finding"]


def test_libvirt_that_calls_the_guest_off_is_not_the_last_word(
    begin: Begin, xl: Path, tmp_path: Path
) -> None:
    with own_host() as host:
        host.define(GUEST.format(disk=tmp_path / "disk"))
        run = begin(Operation.MIGRATE, URI)
        assert look(run) == []
        shutdown.check_off(run)
        xl.touch()
        for check in (look, shutdown.check_off):
            with pytest.raises(VmRunning, match="'web1' runs on this host"):
                check(run)
