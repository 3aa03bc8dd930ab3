# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest goes to a pool of the type rbd: a real Ceph cluster, whose key libvirt keeps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.ceph import CEPH_DOWN, CEPH_UP, SECRET
from tests.migration.sandbox import Sandbox
from tests.migration.sshd import know_each_other
from tests.migration.test_far_target import URI as FAR
from tests.migration.test_undo import (
    JOBS,
    begin,
    check_nothing_left,
    cut_off,
    show,
    temporary,
    wait_for_step,
)
from tests.migration.xenhost import shell

pytestmark = pytest.mark.guest

XML = "/run/ceph-test/secret.xml"
POOL = ("--pool", "ceph", "--format", "raw")


@pytest.fixture
def cluster(sandbox: Sandbox) -> Iterator[None]:
    shell(sandbox, CEPH_UP)
    yield
    shell(sandbox, CEPH_DOWN)


def images(sandbox: Sandbox) -> list[str]:
    """Ask Ceph itself, not libvirt."""
    listed = sandbox.run("rbd", "--conf", "/run/ceph-test/ceph.conf", "ls", "vms")
    assert listed.code == 0, listed.err
    return listed.out.split()


@pytest.mark.usefixtures("cluster")
def test_guest_lives_in_ceph(sandbox: Sandbox, tiny: Path) -> None:
    before = temporary(sandbox)
    job = begin(sandbox, tiny, *POOL)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    assert "login prompt" in show(sandbox, job)["Result"]["boot"]
    assert images(sandbox) == ["tiny1-vda.img"]
    document = sandbox.run("virsh", "dumpxml", "tiny1").out
    assert "<source protocol='rbd' name='vms/tiny1-vda.img'" in document
    assert SECRET in document
    key = sandbox.run("cat", "/run/ceph-test/key").out.strip()
    # The log has all command lines, too.
    assert "qemu-nbd" in sandbox.run("cat", f"{JOBS}/{job}/log").out
    assert sandbox.run("grep", "-rF", "--", key, f"{JOBS}/{job}").out == ""

    rolled = sandbox.run("xen2kvm", "rollback", "--remove-target", job)
    assert rolled.code == 0, rolled.err + rolled.out
    assert images(sandbox) == []
    sandbox.run("rm", show(sandbox, job)["Result"]["backup"])
    check_nothing_left(sandbox, job, before)


@pytest.mark.usefixtures("cluster", "sshd")
def test_guest_of_another_host_lives_in_ceph(sandbox: Sandbox, tiny: Path) -> None:
    know_each_other(sandbox)
    job = begin(sandbox, tiny, "--target", FAR, "--no-start", "--resume", *POOL)
    wait_for_step(sandbox, job, "copy", then=f"sleep 1; kill -9 $(cat {JOBS}/{job}/lock)")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    assert images(sandbox) == ["tiny1-vda.img"]
    key = sandbox.run("cat", "/run/ceph-test/key").out.strip()
    assert sandbox.run("grep", "-rF", "--", key, f"{JOBS}/{job}").out == ""
    assert sandbox.run("xen2kvm", "rollback", "--remove-target", job).code == 0
    assert images(sandbox) == []


@pytest.mark.usefixtures("cluster")
def test_what_does_not_succeed_leaves_no_image(sandbox: Sandbox, tiny: Path) -> None:
    before = temporary(sandbox)
    job = begin(sandbox, tiny, *POOL)
    cut_off(sandbox, job, "copy", "kill")
    assert images(sandbox) == []
    check_nothing_left(sandbox, job, before)


@pytest.mark.usefixtures("cluster")
def test_what_ceph_cannot_do_is_told_before(sandbox: Sandbox, tiny: Path) -> None:
    def said(*options: str) -> str:
        ended = sandbox.run("xen2kvm", "plan", "--network", "default", *options, guest)
        assert ended.code == 1
        return ended.err + ended.out

    guest = str(tiny / "guest.xml")
    assert "Ask for the format raw" in said("--pool", "ceph")
    assert "not preallocated" in said(*POOL, "--allocation", "preallocated")
    shell(sandbox, "rbd --conf /run/ceph-test/ceph.conf create vms/tiny1-vda.img --size 1M")
    assert "has a volume 'tiny1-vda.img' already" in said(*POOL, "--overwrite")
    shell(sandbox, f"virsh secret-set-value {SECRET} --base64 AAAA")
    assert "failed to connect to the RADOS monitor" in said(*POOL)
    shell(sandbox, f"virsh secret-set-value {SECRET} --file /run/ceph-test/key")
    shell(sandbox, "virsh pool-start ceph")  # libvirt has stopped it
    shell(sandbox, f"sed 's/ephemeral/private=\"yes\" ephemeral/' {XML} >{XML}.private")
    shell(sandbox, f"virsh secret-define {XML}.private")
    refused = said(*POOL)
    assert "does not give the key of Ceph's user 'libvirt'" in refused
    assert f"virsh secret-dumpxml {SECRET}" in refused
