# SPDX-License-Identifier: GPL-2.0-or-later
"""The source's disks are backed up by a migration, and restored as they were."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.test_undo import check_nothing_runs, cut_off, show
from tests.migration.xenhost import URI, state

pytestmark = pytest.mark.guest

PLACE = "/srv/backup"


def migrate(sandbox: Sandbox, guest: Path, *options: str) -> str:
    argv = ("xen2kvm", "migrate", "--detach", "--network", "default", "--no-start", *options)
    began = sandbox.run(*argv, "--backup-disks", PLACE, str(guest / "guest.xml"))
    assert began.code == 0, began.err
    return began.out.strip()


def backup(sandbox: Sandbox, *arguments: str) -> Any:
    """Make a backup of a guest and nothing else; return its job's results."""
    argv = ("xen2kvm", "backup", "--detach", "--directory", PLACE, *arguments)
    began = sandbox.run(*argv)
    assert began.code == 0, began.err
    job = began.out.strip()
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    return show(sandbox, job)["Result"]


@pytest.fixture
def place(sandbox: Sandbox) -> None:
    sandbox.run("rm", "-rf", PLACE, "/srv/restored")
    sandbox.run("mkdir", "-p", PLACE)


def test_backup_is_restored_as_the_disk_was(sandbox: Sandbox, place: None, tiny: Path) -> None:
    job = migrate(sandbox, tiny)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    folder = show(sandbox, job)["Result"]["backup-disks"]
    assert sandbox.run("ls", folder).out.split() == ["domain.xml", "manifest.json", "xvda.qcow2"]

    refused = sandbox.run("xen2kvm", "restore", folder)  # the disk is where it was
    assert refused.code == 1
    assert "is there already" in refused.out
    sandbox.run("mkdir", "/srv/restored")
    restored = sandbox.run("xen2kvm", "restore", folder, "--directory", "/srv/restored")

    assert restored.code == 0, restored.err + restored.out
    with (tiny / "disk.raw").open("rb") as stream:
        before = hashlib.file_digest(stream, "sha256").hexdigest()
    assert sandbox.run("sha256sum", "/srv/restored/disk.raw").out.split()[0] == before
    document = sandbox.run("cat", "/srv/restored/tiny1.xml").out
    assert document == (tiny / "guest.xml").read_text()

    change = ("qemu-io", "-f", "qcow2", "-c", "write -P 7 512M 4k", f"{folder}/xvda.qcow2")
    assert sandbox.run(*change).code == 0
    sandbox.run("rm", "-r", "/srv/restored")
    sandbox.run("mkdir", "/srv/restored")
    refused = sandbox.run("xen2kvm", "restore", folder, "--directory", "/srv/restored")
    assert refused.code == 1
    assert "is not what was backed up" in refused.out
    assert sandbox.run("ls", "-A", "/srv/restored").out == ""
    removed = sandbox.run("xen2kvm", "finalize", "--remove-backup", job)
    assert removed.code == 0, removed.out
    assert sandbox.run("ls", PLACE).out == ""


@pytest.mark.parametrize("way", ["kill", "cancel"])
@pytest.mark.parametrize("step", ["backup-disks", "convert"])
def test_backup_goes_with_a_migration_that_does(
    sandbox: Sandbox, place: None, tiny: Path, step: str, way: str
) -> None:
    cut_off(sandbox, migrate(sandbox, tiny), step, way)
    assert sandbox.run("ls", PLACE).out == ""


@pytest.mark.parametrize("way", ["kill", "cancel"])
def test_restore_that_is_cut_off_leaves_nothing(
    sandbox: Sandbox, place: None, tiny: Path, way: str
) -> None:
    folder = backup(sandbox, str(tiny / "guest.xml"))["backup-disks"]
    sandbox.run("mkdir", "/srv/restored")
    argv = ("xen2kvm", "restore", "--detach", folder, "--directory", "/srv/restored")
    began = sandbox.run(*argv)
    assert began.code == 0, began.err
    cut_off(sandbox, began.out.strip(), "restore", way)
    assert sandbox.run("ls", "-A", "/srv/restored").out == ""
    check_nothing_runs(sandbox)


@pytest.mark.parametrize(("option", "after"), [((), "running"), (("--no-start",), "shut off")])
def test_guest_is_shut_down_for_its_backup_and_started_again(
    sandbox: Sandbox, place: None, source_host: None, option: tuple[str, ...], after: str
) -> None:
    made = backup(sandbox, "-c", URI, *option, "tiny1")
    assert state(sandbox) == after
    files = sandbox.run("ls", made["backup-disks"]).out.split()
    assert files == ["domain.xml", "manifest.json", "xvda.qcow2"]
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == ""
    check_nothing_runs(sandbox)


@pytest.mark.parametrize("way", ["kill", "cancel"])
def test_guest_is_started_again_after_a_backup_that_is_cut_off(
    sandbox: Sandbox, place: None, source_host: None, way: str
) -> None:
    slowly = ("--rate-limit", "100M")  # it would take a second
    argv = ("xen2kvm", "backup", "--detach", "--directory", PLACE, *slowly, "-c", URI, "tiny1")
    cut_off(sandbox, sandbox.run(*argv).out.strip(), "backup-disks", way)
    assert state(sandbox) == "running"
    assert sandbox.run("ls", PLACE).out == ""
    check_nothing_runs(sandbox)


def test_backup_without_a_place_is_refused_before_all_else(sandbox: Sandbox, tiny: Path) -> None:
    argv = ("xen2kvm", "plan", "--network", "default", "--backup-disks", "/nowhere")
    refused = sandbox.run(*argv, str(tiny / "guest.xml"))
    assert refused.code == 2
    assert "'/nowhere' is no directory" in refused.out
    refused = sandbox.run("xen2kvm", "backup", "--directory", "/nowhere", str(tiny / "guest.xml"))
    assert refused.code == 2
    assert "'/nowhere' is no directory" in refused.out
    refused = sandbox.run("xen2kvm", "restore", "/srv")
    assert refused.code == 2
    assert "There is no backup in /srv" in refused.out
