# SPDX-License-Identifier: GPL-2.0-or-later
"""Images that lie where they shall stay are not copied: the guide's tip, with a way back."""

import shutil
from pathlib import Path

import pytest

from tests.guest.built import sha256
from tests.migration.sandbox import Sandbox
from tests.migration.test_migration import shell
from tests.migration.test_settle import virsh
from tests.migration.test_undo import (
    JOBS,
    begin,
    check_nothing_left,
    cut_off,
    show,
    temporary,
    wait_for_step,
)
from xen2kvmd.cli.exits import EX_USAGE

pytestmark = pytest.mark.guest

KILL = f"""
  until grep -q merging {JOBS}/{{migration}}/journal; do sleep 0.01; done
  kill -9 $(cat {JOBS}/{{job}}/lock)
"""


@pytest.fixture
def guest(tiny: Path, tmp_path: Path) -> Path:
    """A guest with an image of its own, where QEMU's user may read it."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    shutil.copy(tiny / "disk.raw", tmp_path / "disk.raw")
    text = (tiny / "guest.xml").read_text().replace(str(tiny), str(tmp_path))
    (tmp_path / "guest.xml").write_text(text)
    return tmp_path


def files(guest: Path) -> list[str]:
    return sorted(path.name for path in guest.iterdir())


def disk(sandbox: Sandbox) -> str:
    """Return the file of the new guest's disk."""
    return virsh(sandbox, "domblklist", "tiny1").split()[-1]


def migrated(sandbox: Sandbox, guest: Path, *options: str) -> str:
    job = begin(sandbox, guest, "--in-place", *options)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    return job


def test_image_is_untouched_until_the_guest_is_accepted(sandbox: Sandbox, guest: Path) -> None:
    before = sha256(guest / "disk.raw")
    job = migrated(sandbox, guest)
    assert "login prompt" in show(sandbox, job)["Result"]["boot"]
    assert disk(sandbox) == str(guest / "tiny1-vda.qcow2")
    assert sha256(guest / "disk.raw") == before

    assert sandbox.run("xen2kvm", "rollback", "--shutdown-timeout", "1", job).code == 0

    assert sha256(guest / "disk.raw") == before
    assert files(guest) == ["disk.raw", "guest.xml"]
    assert virsh(sandbox, "list", "--all", "--name") == ""


def test_finalize_merges_while_the_guest_runs(sandbox: Sandbox, guest: Path) -> None:
    job = migrated(sandbox, guest)
    shell(sandbox, "tiny1", "echo kept > /root/written; sync")

    finalized = sandbox.run("xen2kvm", "finalize", job)

    assert finalized.code == 0, finalized.err + finalized.out
    assert virsh(sandbox, "domstate", "tiny1") == "running"
    assert files(guest) == ["disk.raw", "guest.xml"]
    for _ in range(2):  # as it runs, and as it starts the next time
        assert disk(sandbox) == str(guest / "disk.raw")
        assert "kept" in shell(sandbox, "tiny1", "cat /root/written")
        virsh(sandbox, "destroy", "tiny1")
        virsh(sandbox, "start", "tiny1")
    assert sandbox.run("xen2kvm", "rollback", job).code == 1


def test_finalize_merges_what_does_not_run(sandbox: Sandbox, guest: Path) -> None:
    job = migrated(sandbox, guest, "--no-start")
    assert sandbox.run("xen2kvm", "finalize", job).code == 0
    assert files(guest) == ["disk.raw", "guest.xml"]
    assert disk(sandbox) == str(guest / "disk.raw")
    virsh(sandbox, "start", "tiny1")
    shell(sandbox, "tiny1", "true")


@pytest.mark.parametrize(("step", "way"), [("copy", "kill"), ("verify", "cancel")])
def test_cut_off_leaves_nothing(sandbox: Sandbox, guest: Path, step: str, way: str) -> None:
    before, image = temporary(sandbox), sha256(guest / "disk.raw")
    job = begin(sandbox, guest, "--in-place")
    cut_off(sandbox, job, step, way)
    assert files(guest) == ["disk.raw", "guest.xml"]
    assert sha256(guest / "disk.raw") == image
    check_nothing_left(sandbox, job, before)


def test_merge_that_is_cut_off_is_finished_and_not_rolled_back(
    sandbox: Sandbox, guest: Path
) -> None:
    job = migrated(sandbox, guest, "--no-start")
    finalizing = sandbox.run("xen2kvm", "finalize", "--detach", job).out.strip()
    wait_for_step(sandbox, finalizing, "merge", then=KILL.format(migration=job, job=finalizing))
    sandbox.run("xen2kvm", "follow", finalizing)
    assert show(sandbox, finalizing)["State"] == "failed"
    refused = sandbox.run("xen2kvm", "rollback", job)
    assert refused.code == 1
    assert f"xen2kvm finalize {job}" in refused.err + refused.out
    assert sandbox.run("xen2kvm", "finalize", job).code == 0
    assert disk(sandbox) == str(guest / "disk.raw")
    assert files(guest) == ["disk.raw", "guest.xml"]


def test_another_format_is_refused(sandbox: Sandbox, guest: Path) -> None:
    job = begin(sandbox, guest, "--in-place", "--format", "raw")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == EX_USAGE
    assert "keeps its format" in followed.out
    assert files(guest) == ["disk.raw", "guest.xml"]
