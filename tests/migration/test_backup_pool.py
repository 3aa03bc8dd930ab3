# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup lies in a storage pool, all of it; whoever has the pool restores it from there."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.test_undo import begin, check_nothing_runs, cut_off, show

pytestmark = pytest.mark.guest

POOL, FOLDER = "backups", "/srv/pool"
FILES = ("domain.xml", "manifest.json", "xvda.qcow2")


@pytest.fixture
def pool(sandbox: Sandbox) -> Iterator[None]:
    """A pool in a folder of its own, and a folder to restore into."""
    for folder in (FOLDER, "/srv/restored"):
        sandbox.run("rm", "-rf", folder)
        sandbox.run("mkdir", "-p", folder)
    assert sandbox.run("virsh", "pool-define-as", POOL, "dir", "--target", FOLDER).code == 0
    assert sandbox.run("virsh", "pool-start", POOL).code == 0
    yield
    sandbox.run("virsh", "pool-destroy", POOL)
    sandbox.run("virsh", "pool-undefine", POOL)
    sandbox.run("rm", "-rf", FOLDER, "/srv/restored")


def begin_backup(sandbox: Sandbox, guest: Path, *options: str) -> str:
    argv = ("xen2kvm", "backup", "--detach", "--pool", POOL, *options)
    began = sandbox.run(*argv, str(guest / "guest.xml"))
    assert began.code == 0, began.err
    return began.out.strip()


def backup(sandbox: Sandbox, guest: Path) -> tuple[str, Any]:
    """Make a backup; return its name in the pool, and the results of its job."""
    job = begin_backup(sandbox, guest)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    return f"tiny1-{job}", show(sandbox, job)["Result"]


def volumes(sandbox: Sandbox) -> list[str]:
    """Return what libvirt lists in the pool without being told to look again."""
    lines = sandbox.run("virsh", "vol-list", POOL).out.splitlines()[2:]
    return sorted(line.split()[0] for line in lines if line.strip())


def restore(sandbox: Sandbox, *backup: str) -> tuple[int, str]:
    ended = sandbox.run("xen2kvm", "restore", *backup, "--directory", "/srv/restored")
    return ended.code, ended.err + ended.out


def check_restored(sandbox: Sandbox, guest: Path) -> None:
    with (guest / "disk.raw").open("rb") as stream:
        before = hashlib.file_digest(stream, "sha256").hexdigest()
    assert sandbox.run("sha256sum", "/srv/restored/disk.raw").out.split()[0] == before
    assert sandbox.run("cat", "/srv/restored/tiny1.xml").out == (guest / "guest.xml").read_text()
    sandbox.run("rm", "/srv/restored/disk.raw", "/srv/restored/tiny1.xml")


@pytest.mark.usefixtures("pool")
def test_backup_is_restored_by_its_name_or_its_files(sandbox: Sandbox, tiny: Path) -> None:
    name, made = backup(sandbox, tiny)
    assert volumes(sandbox) == [f"{name}-{file}" for file in FILES]
    assert made["backup-disks"] == f"{FOLDER}/{name}-manifest.json"
    restored = restore(sandbox, name, "--pool", POOL)
    assert restored[0] == 0, restored[1]
    check_restored(sandbox, tiny)

    sandbox.run("virsh", "pool-destroy", POOL)
    code, output = restore(sandbox, name, "--pool", POOL)
    assert code == 1
    assert f"'{POOL}' is not active" in output
    sandbox.run("mv", FOLDER, "/srv/elsewhere")  # mounted where no pool is
    restored = restore(sandbox, f"/srv/elsewhere/{name}-manifest.json")
    assert restored[0] == 0, restored[1]
    check_restored(sandbox, tiny)

    sandbox.run("mv", "/srv/elsewhere", FOLDER)
    sandbox.run("virsh", "pool-start", POOL)
    sandbox.run("rm", made["backup-disks"])
    code, output = restore(sandbox, name, "--pool", POOL)
    assert code == 2
    assert f"There is no backup in {FOLDER}: it has no {name}-manifest.json" in output


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("way", ["kill", "cancel"])
def test_backup_that_is_cut_off_leaves_nothing_in_the_pool(
    sandbox: Sandbox, tiny: Path, way: str
) -> None:
    job = begin_backup(sandbox, tiny, "--rate-limit", "100M")  # it would take a second
    cut_off(sandbox, job, "backup-disks", way)
    assert sandbox.run("ls", "-A", FOLDER).out == ""
    assert volumes(sandbox) == []
    check_nothing_runs(sandbox)


@pytest.mark.usefixtures("pool")
def test_backup_of_a_migration_stays_until_it_is_not_wanted(sandbox: Sandbox, tiny: Path) -> None:
    options = ("--backup-disks", POOL, "--no-start", "--no-verify")
    cut_off(sandbox, begin(sandbox, tiny, *options), "convert", "cancel")
    assert sandbox.run("ls", "-A", FOLDER).out == ""

    job = begin(sandbox, tiny, *options)
    assert sandbox.run("xen2kvm", "follow", job).code == 0
    assert volumes(sandbox) == [f"tiny1-{job}-{file}" for file in FILES]
    manifest = json.loads(sandbox.run("cat", show(sandbox, job)["Result"]["backup-disks"]).out)
    assert manifest["disks"][0]["file"] == f"tiny1-{job}-xvda.qcow2"
    accepted = sandbox.run("xen2kvm", "finalize", "--remove-backup", job)
    assert accepted.code == 0, accepted.out
    assert volumes(sandbox) == []
    assert sandbox.run("ls", "-A", FOLDER).out == ""
