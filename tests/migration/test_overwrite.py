# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of this host is replaced if that is asked, and comes back if the new one fails."""

import re
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.test_settle import migrated, target, virsh
from tests.migration.test_undo import begin, check_nothing_runs, cut_off, show
from xen2kvmd.cli.exits import EX_BLOCKED, EX_FAILED

pytestmark = pytest.mark.guest

IMAGES = "/var/lib/libvirt/images"


@pytest.fixture
def old(sandbox: Sandbox, tiny: Path) -> str:
    """The id of a job that made a domain, which does not run."""
    return migrated(sandbox, "--no-start", "--autostart", str(tiny / "guest.xml"))


def state(sandbox: Sandbox) -> tuple[object, ...]:
    """Return all that the domain is: its XML, autostart, files and their content.

    libvirt may list devices in another order when a domain is defined anew.
    """
    files = f"ls -A {IMAGES}; sha256sum {IMAGES}/*"
    return (
        sorted(virsh(sandbox, "dumpxml", "tiny1").splitlines()),
        target(sandbox),
        sandbox.run("sh", "-c", files).out,
    )


def test_domain_is_replaced_when_the_new_one_has_booted(
    sandbox: Sandbox, tiny: Path, old: str
) -> None:
    job = begin(sandbox, tiny, "--overwrite")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    document = virsh(sandbox, "dumpxml", "tiny1")
    assert job in document
    assert old not in document
    assert sandbox.run("ls", "-A", IMAGES).out == "tiny1-vda.qcow2\n"
    assert "replaced.xml" not in sandbox.run("ls", f"/var/lib/xen2kvmd/jobs/{job}").out
    (told,) = (found for found in show(sandbox, job)["Findings"] if found["id"] == "overwrites")
    assert "the domain 'tiny1'" in told["message"]
    assert f"{IMAGES}/tiny1-vda.qcow2" in told["message"]


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize(("step", "way"), [("copy", "kill"), ("verify", "cancel")])
def test_domain_comes_back_when_the_new_one_does_not(
    sandbox: Sandbox, tiny: Path, step: str, way: str
) -> None:
    before = state(sandbox)
    job = begin(sandbox, tiny, "--overwrite")
    cut_off(sandbox, job, step, way)
    assert state(sandbox) == before
    check_nothing_runs(sandbox)


def test_what_runs_is_not_replaced(sandbox: Sandbox, tiny: Path, old: str) -> None:
    virsh(sandbox, "start", "tiny1")
    job = begin(sandbox, tiny, "--overwrite")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == EX_FAILED
    assert "cannot be replaced: it runs" in followed.out
    assert old in virsh(sandbox, "dumpxml", "tiny1")


@pytest.mark.usefixtures("old")
def test_disk_of_another_guest_is_not_replaced(
    sandbox: Sandbox, tiny: Path, tmp_path: Path
) -> None:
    document = virsh(sandbox, "dumpxml", "tiny1").replace("tiny1</name>", "other</name>")
    (tmp_path / "other.xml").write_text(re.sub("<uuid>.*</uuid>", "", document))
    virsh(sandbox, "undefine", "tiny1")
    virsh(sandbox, "define", str(tmp_path / "other.xml"))
    before = sandbox.run("sha256sum", f"{IMAGES}/tiny1-vda.qcow2").out
    job = begin(sandbox, tiny, "--overwrite")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == EX_FAILED
    assert "belongs to the domain 'other'" in followed.out
    assert sandbox.run("sha256sum", f"{IMAGES}/tiny1-vda.qcow2").out == before


def test_nothing_is_replaced_unasked(sandbox: Sandbox, tiny: Path, old: str) -> None:
    job = begin(sandbox, tiny)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == EX_FAILED
    assert "--overwrite" in followed.out
    assert old in virsh(sandbox, "dumpxml", "tiny1")


def test_disk_of_the_source_is_not_replaced(sandbox: Sandbox, tiny: Path, tmp_path: Path) -> None:
    """The source's image lies where the new guest's would."""
    image = f"{IMAGES}/tiny1-vda.img"
    sandbox.run("cp", str(tiny / "disk.raw"), image)
    document = (tiny / "guest.xml").read_text().replace(str(tiny / "disk.raw"), image)
    (tmp_path / "guest.xml").write_text(document)
    job = begin(sandbox, tmp_path, "--format", "raw", "--overwrite")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == EX_BLOCKED
    assert "overwrites-source" in followed.out
    assert sandbox.run("ls", "-A", IMAGES).out == "tiny1-vda.img\n"
