# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup in a pool, which other hosts may have too: a name there is taken once."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from xen2kvmd.errors import TargetExists
from xen2kvmd.model import BackupPlace, Operation, Request
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import backups

REQUEST = Request(Operation.BACKUP, "libvirtxml:/x", backup_pool="backups")


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a pool of libvirt's test driver, which keeps its own volumes in memory."""
    with connected("test:///default") as host:
        host.define_pool(
            f"<pool type='dir'><name>backups</name><target><path>{tmp_path}</path></target></pool>"
        )
        host.start_pool("backups")
        monkeypatch.setattr(backups, "connected", lambda: nullcontext(host))
        yield tmp_path
        host.stop_pool("backups")
        host.undefine_pool("backups")


DEVS = ("xvda", "xvdb")


def new_place() -> BackupPlace:
    return backups.new_place(REQUEST, guest="web1", job="u0_a")


@pytest.mark.parametrize("part", ["manifest.json", "domain.xml", "xvdb.qcow2"])
def test_what_is_there_of_an_unfinished_backup_takes_its_name(pool: Path, part: str) -> None:
    """Another host's job of the same id writes its images first, and its manifest last."""
    (pool / f"web1-u0_a-{part}").touch()
    with pytest.raises(TargetExists, match="'web1-u0_a' already"):
        backups.claim(new_place(), DEVS, mark="ours")
    assert [path.name for path in pool.iterdir()] == [f"web1-u0_a-{part}"]


def test_other_backups_of_the_guest_take_other_names(pool: Path) -> None:
    (pool / "web1-u0_b-xvda.qcow2").touch()
    place = new_place()
    assert place == BackupPlace(str(pool), "web1-u0_a-", "backups")
    backups.claim(place, DEVS, mark="ours")


def test_one_of_two_that_claim_a_name_has_it(pool: Path) -> None:
    place = new_place()
    backups.claim(place, DEVS, mark="theirs")
    with pytest.raises(TargetExists, match="Another job makes the backup 'web1-u0_a'"):
        backups.claim(place, DEVS, mark="ours")
    backups.release(place, mark="ours")
    assert place.claim.exists()
    backups.release(place, mark="theirs")
    backups.claim(place, DEVS, mark="ours")
