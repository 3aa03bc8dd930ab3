# SPDX-License-Identifier: GPL-2.0-or-later
"""Source and target never run both, and no disk goes that is in use: libvirt's test driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.libvirt_test_driver import own_host
from xen2kvmd.errors import Cancelled, ConnectionFailed, Failed, VmNotFound
from xen2kvmd.jobs import patience
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import PlannedDisk, SourceDisk, Volume
from xen2kvmd.steps import backup, define, merge, shutdown
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.libvirt_domain import NAMESPACE, Domain

MARKED = f"""
<domain type="test">
  <name>{{name}}</name>
  <memory>65536</memory>
  <os><type>hvm</type></os>
  <metadata><x:migration xmlns:x="{NAMESPACE}" job="j1"/></metadata>
</domain>
"""


UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@dataclass
class Xen:
    """A source that counts how often it is started, after it could not be reached so often."""

    lost: int = 0
    started: int = 0

    def start_again(self, _document: str, *, seconds: float) -> None:
        assert seconds <= shutdown.LAST_WAIT
        if self.lost:
            self.lost -= 1
            raise ConnectionFailed("xen1 cannot be reached.")
        self.started += 1

    def is_running(self) -> bool:
        raise VmNotFound("gone")


@pytest.fixture
def host() -> Iterator[Host]:
    with own_host() as opened:
        yield opened


@pytest.fixture
def xen(monkeypatch: pytest.MonkeyPatch, host: Host) -> Xen:
    source = Xen()

    @contextmanager
    def target(_request: object) -> Iterator[Host]:
        yield host

    monkeypatch.setattr(define, "target_host", target)
    monkeypatch.setattr(shutdown, "open_source", lambda _request: source)
    monkeypatch.setattr(patience, "PAUSE", 0.0)
    return source


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    spec = {"operation": "migrate", "vm": "web1", "source": "test:///default"}
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "socket", "j1")
    run = Run("j1", tmp_path, spec, journal, sender, cancelled=lambda: False)
    source = f"<domain type='xen'><name>web1</name><uuid>{UUID}</uuid><memory>65536</memory>"
    (tmp_path / "source.xml").write_text(f"{source}<os><type>linux</type></os></domain>")
    run.notes |= {"shutdown-asked": "j1", "domain": "web1", "case": {}}
    yield run
    journal.close()
    sender.close()


def defined(host: Host, name: str) -> Domain:
    host.define(MARKED.format(name=name))
    domain = host.domain(name)
    assert domain
    return domain


def test_source_starts_when_the_target_is_gone(run: Run, xen: Xen) -> None:
    shutdown.undo(run)
    assert xen.started == 1


def test_source_stays_off_while_the_target_runs(run: Run, xen: Xen, host: Host) -> None:
    defined(host, "web1").start(paused=False)
    for undo in (shutdown.undo, define.undo):
        with pytest.raises(Failed, match="'web1' runs, and could not be stopped"):
            undo(run)
    assert xen.started == 0
    assert host.domain_exists("web1")


def test_source_stays_off_while_its_guest_runs_at_the_target(
    run: Run, xen: Xen, host: Host
) -> None:
    """Another job may have brought it there, under another name."""
    host.create(MARKED.format(name="other").replace("<memory>", f"<uuid>{UUID}</uuid><memory>"))
    with pytest.raises(Failed, match=f"'other' runs at the target, and has .* UUID {UUID}"):
        shutdown.undo(run)
    assert xen.started == 0


def test_renamed_target_is_found_and_a_clone_is_not(host: Host) -> None:
    renamed = defined(host, "web1-renamed")
    found = define.marked_domain(host, "web1", "j1", uuid=renamed.uuid)
    assert found
    assert found.name == "web1-renamed"
    assert define.marked_domain(host, "web1", "j1") is None
    assert define.marked_domain(host, "web1", "j2", uuid=renamed.uuid) is None


def test_source_stays_off_while_nobody_knows(
    run: Run, xen: Xen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def target(_request: object) -> Host:
        raise ConnectionFailed("kvm2 cannot be reached.")

    monkeypatch.setattr(define, "target_host", target)
    with pytest.raises(ConnectionFailed, match="is not started: kvm2 cannot be reached") as caught:
        shutdown.undo(run)
    assert "start the source by hand: virsh -c test:///default start -- web1;" in caught.value.hint
    assert xen.started == 0


def test_source_whose_host_is_away_is_to_be_started_later(run: Run, xen: Xen) -> None:
    xen.lost = 1
    with pytest.raises(ConnectionFailed, match="is not started: xen1 cannot be reached"):
        shutdown.undo(run)
    shutdown.undo(run)
    assert xen.started == 1


def test_definition_of_a_source_that_is_still_off_is_kept(run: Run, xen: Xen) -> None:
    """A transient one cannot be started without it."""
    xen.lost = 1
    run = replace(run, folder=run.folder / "jobs/j1")
    run.folder.mkdir(parents=True)
    (run.folder / "source.xml").write_text((run.folder.parents[1] / "source.xml").read_text())
    backup.do(run)
    run.note("shutdown-asked", "j1")
    with pytest.raises(ConnectionFailed) as caught:
        shutdown.undo(run)
    backup.undo(run)
    kept = Path(run.notes["backup"])
    assert kept.exists()
    assert caught.value.hint.endswith(f"virsh -c test:///default create -- {kept}")

    shutdown.undo(run)
    run.record("step-undone", step="shutdown")
    backup.undo(run)
    assert not kept.exists()


@pytest.mark.parametrize(("seconds", "started"), [(60.0, 1), (-1.0, 0)])
def test_source_of_a_backup_whose_host_is_away_is_waited_for(
    run: Run, xen: Xen, monkeypatch: pytest.MonkeyPatch, seconds: float, started: int
) -> None:
    monkeypatch.setattr(patience, "SECONDS", seconds)
    xen.lost = 3
    shutdown.start_again(run)
    assert xen.started == started
    told = [event["finding"]["id"] for event in run.journal.events if event["type"] == "finding"]
    assert told == ([] if started else ["source-not-started"])


def test_source_of_a_backup_is_not_waited_for_when_somebody_cancels(run: Run, xen: Xen) -> None:
    xen.lost = 100
    with pytest.raises(Cancelled):
        shutdown.start_again(replace(run, cancelled=lambda: True))


def test_transient_source_is_off_when_it_is_gone(run: Run, xen: Xen) -> None:
    shutdown.check_off(run)
    del run.notes["shutdown-asked"]
    with pytest.raises(VmNotFound):
        shutdown.check_off(run)


# --- what a migration in place has for disks ------------------------------------------------------

OVERLAY, IMAGE = "/srv/R&D/Bob's.qcow2", "/srv/R&D/disk.raw"
DISK = PlannedDisk(
    SourceDisk("xvda", IMAGE, "raw", 1 << 20, 1 << 20), Volume("xvda", OVERLAY, "qcow2"), "vda"
)
ON_OVERLAY = f'<source file="{OVERLAY.replace("&", "&amp;")}"/>'
ON_IMAGE = f'<source file="{IMAGE.replace("&", "&amp;")}"/>'
SNAPSHOT = "<source file='/srv/snap'/>"


def domain(disk: str) -> str:
    return f"<domain><devices><disk>{disk}</disk></devices></domain>"


@pytest.mark.parametrize(
    ("now", "later", "overlay", "merged"),
    [
        (ON_OVERLAY, ON_OVERLAY, True, False),
        (ON_IMAGE, ON_IMAGE, False, True),
        (ON_IMAGE, ON_OVERLAY, False, False),
        (f"{SNAPSHOT}<backingStore>{ON_OVERLAY}</backingStore>", SNAPSHOT, False, False),
        (f"{SNAPSHOT}<backingStore>{ON_IMAGE}</backingStore>", SNAPSHOT, False, False),
    ],
)
def test_an_overlay_goes_only_where_nothing_is_on_it(
    now: str, later: str, *, overlay: bool, merged: bool
) -> None:
    assert merge.is_overlay(DISK, domain(now)) is overlay
    assert merge.is_merged(DISK, domain(now), domain(later)) is merged
