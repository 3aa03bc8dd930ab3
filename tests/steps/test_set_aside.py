# SPDX-License-Identifier: GPL-2.0-or-later
"""What a new guest replaces is never lost: it stays aside until it can come back, or may go.

libvirt's test driver has the domains; it does not look at their disks, which are real files.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cattrs
import pytest

from tests.libvirt_test_driver import URI, open_in_a_qemu, own_host
from xen2kvmd.errors import Failed, PoolNotFound, TargetExists
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Facts, Plan, PlannedDisk, SourceDisk, Target, Volume
from xen2kvmd.steps import context, set_aside
from xen2kvmd.steps.set_aside import SET_ASIDE, THROW_AWAY
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.system.libvirt_domain import NAMESPACE

OLD = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
NEW = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(set_aside, "target_host", lambda _request: connected(URI))
    with own_host() as opened:
        yield opened


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The old domain's disk."""
    disk = tmp_path / "images/web1-vda.qcow2"
    disk.parent.mkdir()
    disk.write_text("old")
    return disk


@pytest.fixture
def run(tmp_path: Path, disk: Path) -> Iterator[Run]:
    """A job that is to replace a domain and its disk."""
    folder = tmp_path / "jobs/j1"
    folder.mkdir(parents=True)
    spec = {
        "operation": "migrate",
        "vm": "web1",
        "source": "xen:///system",
        "directory": str(disk.parent),
        "overwrite": True,
    }
    journal, sender = Journal(folder / "journal"), Sender(tmp_path / "socket", "j1")
    with closing(journal), closing(sender):
        run = Run("j1", folder, spec, journal, sender, cancelled=lambda: False)
        write_plan(run, Volume("xvda", str(disk), "qcow2", "", disk.name))
        yield run


def write_plan(run: Run, volume: Volume) -> None:
    source = SourceDisk("xvda", "/src/xvda", "raw", 1 << 20, 1 << 20)
    disks = (PlannedDisk(source, volume, "vda"),)
    plan = Plan("web1", "web1", Facts(), disks, (), (), "", 0, 0, 0)
    context.write(run, "plan.json", json.dumps(cattrs.unstructure(plan)))


def document(name: str, uuid: str, *, disk: str = "", job: str = "") -> str:
    mark = f'<metadata><x:migration xmlns:x="{NAMESPACE}" job="{job}"/></metadata>' if job else ""
    return f"""
      <domain type="test">
        <name>{name}</name><uuid>{uuid}</uuid>{mark}
        <memory>65536</memory>
        <os><type>hvm</type></os>
        <devices>
          <disk type="file"><source file="{disk}"/><target dev="vda"/></disk>
        </devices>
      </domain>"""


def put_aside(run: Run, host: Host, disk: Path) -> None:
    """Do the step, as far as this driver of libvirt can: it does not undefine like QEMU's."""
    host.define(document("web1", OLD, disk=str(disk)))
    with pytest.raises(Failed, match="unsupported flags"):
        SET_ASIDE.do(run)
    old = host.domain("web1")
    assert old is not None
    old.undefine(nvram=False)
    assert not disk.exists()


def made(run: Run, host: Host, disk: Path) -> None:
    """Let the job have made its guest."""
    disk.write_text("new")
    run.note("domain", "web1")
    host.define(document("web1", NEW, disk=str(disk), job=run.id))


def aside(disk: Path) -> Path:
    return disk.with_name(f".{disk.name}.j1.old")


def test_what_was_replaced_comes_back_once(run: Run, host: Host, disk: Path) -> None:
    put_aside(run, host, disk)
    disk.write_text("half of a copy")
    for _ in range(2):
        SET_ASIDE.undo(run)
        old = host.domain("web1")
        assert old is not None
        assert old.uuid == OLD
        assert disk.read_text() == "old"
        assert not (run.folder / "replaced.xml").exists()


def test_disk_that_a_qemu_has_open_is_refused_by_plan_and_step(
    run: Run, host: Host, disk: Path
) -> None:
    """On shared storage, that may be a guest of a host whose libvirt nobody asks."""
    target = Target("web1", volumes=context.plan(run).volumes)
    with open_in_a_qemu(disk, "raw"):
        with pytest.raises(TargetExists, match="has it open"):
            list(set_aside.findings(context.request(run), target, (), host))
        with pytest.raises(TargetExists, match="has it open"):
            SET_ASIDE.do(run)
        SET_ASIDE.undo(run)
    assert disk.read_text() == "old"
    (told,) = set_aside.findings(context.request(run), target, (), host)
    assert told.id == "overwrites"


@pytest.mark.parametrize("runs", [True, False])
def test_nothing_takes_the_place_of_a_disk_of_the_new_guest(
    run: Run, host: Host, disk: Path, *, runs: bool
) -> None:
    put_aside(run, host, disk)
    made(run, host, disk)
    new = host.domain("web1")
    assert new is not None
    if runs:
        new.start(paused=False)
    with pytest.raises(Failed, match="'web1'") as caught:
        SET_ASIDE.undo(run)
    assert str(aside(disk)) in caught.value.hint
    assert str(run.folder / "replaced.xml") in caught.value.hint
    assert disk.read_text() == "new"
    assert aside(disk).read_text() == "old"
    new.destroy()
    new.undefine(nvram=False)
    SET_ASIDE.undo(run)
    assert disk.read_text() == "old"


def test_domain_that_cannot_be_defined_again_keeps_its_xml(
    run: Run, host: Host, disk: Path
) -> None:
    """Somebody has made another one of its UUID meanwhile."""
    put_aside(run, host, disk)
    host.define(document("other", OLD, disk="/other"))
    with pytest.raises(Failed, match="libvirt does not take the domain XML"):
        SET_ASIDE.undo(run)
    kept = (run.folder / "replaced.xml").read_text()
    assert OLD in kept
    assert str(disk) in kept


@pytest.fixture
def in_pool(run: Run, host: Host, disk: Path) -> Iterator[str]:
    """A pool that has the old domain's disk."""
    host.define_pool(
        f"<pool type='dir'><name>slow</name><target><path>{disk.parent}</path></target></pool>"
    )
    host.start_pool("slow")
    write_plan(run, Volume("xvda", str(disk), "qcow2", "slow", disk.name))
    yield "slow"
    host.stop_pool("slow")
    host.undefine_pool("slow")


def test_what_cannot_be_seen_is_not_taken_for_put_back(
    run: Run, host: Host, disk: Path, in_pool: str
) -> None:
    """The target's host has started anew, and has not mounted the pool yet."""
    put_aside(run, host, disk)
    away = disk.parent.rename(disk.parent.with_name("away"))
    host.stop_pool(in_pool)
    with pytest.raises(PoolNotFound, match="'slow' is not active") as caught:
        SET_ASIDE.undo(run)
    assert str(aside(disk)) in caught.value.hint
    assert not host.domain_exists("web1")
    away.rename(disk.parent)
    host.start_pool(in_pool)
    SET_ASIDE.undo(run)
    assert host.domain_exists("web1")
    assert disk.read_text() == "old"


def test_folder_that_is_not_mounted_is_told(run: Run, host: Host, disk: Path) -> None:
    put_aside(run, host, disk)
    disk.parent.rename(disk.parent.with_name("away"))
    with pytest.raises(Failed, match="nor in its own place"):
        SET_ASIDE.undo(run)
    assert not host.domain_exists("web1")
    assert (run.folder / "replaced.xml").exists()


def test_what_cannot_be_seen_is_not_taken_for_removed(
    run: Run, host: Host, disk: Path, in_pool: str
) -> None:
    put_aside(run, host, disk)
    host.stop_pool(in_pool)
    with pytest.raises(PoolNotFound, match="'slow' is not active") as caught:
        THROW_AWAY.do(run)
    assert str(aside(disk)) in caught.value.hint
    assert (run.folder / "replaced.xml").exists()
    host.start_pool(in_pool)
    for _ in range(2):
        THROW_AWAY.do(run)
        assert not aside(disk).exists()
        assert not (run.folder / "replaced.xml").exists()
