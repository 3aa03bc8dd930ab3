# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest goes to another host: its disks over ssh, its domain by that host's libvirt."""

import json
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.sshd import know_each_other
from tests.migration.test_settle import target
from tests.migration.test_undo import (
    JOBS,
    begin,
    check_nothing_left,
    cut_off,
    show,
    temporary,
    wait_for_step,
)

URI = "qemu+ssh://root@localhost:2222/system"
IMAGES = "/var/lib/libvirt/images"
FAR_FILES = "ls -d /tmp/xen2kvm-* /run/xen2kvm-*"


def migrate(sandbox: Sandbox, guest: Path, *options: str) -> tuple[int, str]:
    argv = ("xen2kvm", "migrate", "--target", URI, "--network", "default", *options)
    ended = sandbox.run(*argv, str(guest / "guest.xml"))
    return ended.code, ended.err + ended.out


@pytest.mark.guest
def test_guest_boots_on_the_other_host_and_is_found_there_again(
    sandbox: Sandbox, sshd: None, tiny: Path
) -> None:
    before = temporary(sandbox)
    know_each_other(sandbox)
    job = begin(sandbox, tiny, "--target", URI)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    assert "login prompt" in show(sandbox, job)["Result"]["boot"]
    assert sandbox.run("virsh", "-c", URI, "domstate", "tiny1").out.strip() == "running"
    check_image(sandbox, "qcow2")
    assert sandbox.run("sh", "-c", FAR_FILES).out == ""

    back = sandbox.run("xen2kvm", "rollback", "--remove-target", job)
    assert back.code == 0, back.err + back.out
    sandbox.run("rm", show(sandbox, job)["Result"]["backup"])
    check_nothing_left(sandbox, job, before)


@pytest.mark.guest
def test_raw_disk_in_a_folder_is_sparse_there(sandbox: Sandbox, sshd: None, tiny: Path) -> None:
    know_each_other(sandbox)
    code, output = migrate(sandbox, tiny, "--format", "raw", "--no-start", "--directory", IMAGES)
    assert code == 0, output
    check_image(sandbox, "raw")
    assert sandbox.run("virsh", "domstate", "tiny1").out.strip() == "shut off"


def check_image(sandbox: Sandbox, disk_format: str) -> None:
    (image,) = sandbox.run("sh", "-c", "ls /var/lib/libvirt/images/*").out.split()
    told = sandbox.json("qemu-img", "info", "-U", "--output=json", image)
    assert told["format"] == disk_format
    assert told["actual-size"] < told["virtual-size"] // 2  # holes are holes there


def check_nothing_left_there(sandbox: Sandbox, job: str, before: set[str]) -> None:
    check_nothing_left(sandbox, job, before)
    assert sandbox.run("sh", "-c", FAR_FILES).out == ""


@pytest.mark.guest
@pytest.mark.parametrize(
    ("step", "way"), [("copy", "kill"), ("copy", "cancel"), ("compare", "kill")]
)
def test_what_is_cut_off_leaves_nothing_there(
    sandbox: Sandbox, sshd: None, tiny: Path, step: str, way: str
) -> None:
    before = temporary(sandbox)
    know_each_other(sandbox)
    job = begin(sandbox, tiny, "--target", URI)
    cut_off(sandbox, job, step, way)
    check_nothing_left_there(sandbox, job, before)


@pytest.mark.guest
def test_connection_lost_in_the_middle_is_told_and_leaves_nothing(
    sandbox: Sandbox, sshd: None, tiny: Path
) -> None:
    before = temporary(sandbox)
    know_each_other(sandbox)
    job = begin(sandbox, tiny, "--target", URI)
    there = "until ls /tmp/xen2kvm-*/socket; do sleep 0.02; done"
    lose = f"{there}; pkill -P $(cat /run/far/pid)"  # not the server itself
    wait_for_step(sandbox, job, "copy", then=lose)
    ended = sandbox.run("xen2kvm", "follow", job)
    assert ended.code == 1
    assert "The host root@localhost:2222 cannot be reached" in ended.err + ended.out
    check_nothing_left_there(sandbox, job, before)


@pytest.mark.guest
@pytest.mark.parametrize("disk_format", ["qcow2", "raw"])
def test_copy_that_is_killed_goes_on_there(
    sandbox: Sandbox, sshd: None, tiny: Path, disk_format: str
) -> None:
    before = temporary(sandbox)
    know_each_other(sandbox)
    options = ("--resume", "--no-start", "--format", disk_format)
    job = begin(sandbox, tiny, "--target", URI, *options)
    wait_for_step(sandbox, job, "copy", then=f"sleep 1; kill -9 $(cat {JOBS}/{job}/lock)")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    end = show(sandbox, job)
    assert "in step copy; another one" in json.dumps(end["Findings"])
    check_image(sandbox, disk_format)
    assert sandbox.run("xen2kvm", "rollback", "--remove-target", job).code == 0
    sandbox.run("rm", end["Result"]["backup"])
    check_nothing_left_there(sandbox, job, before)


@pytest.mark.guest
def test_copy_is_compressed_there(sandbox: Sandbox, sshd: None, tiny: Path) -> None:
    know_each_other(sandbox)
    code, output = migrate(sandbox, tiny, "--compress", "--no-start")
    assert code == 0, output
    (image,) = sandbox.run("sh", "-c", "ls /var/lib/libvirt/images/*").out.split()
    told = sandbox.json("qemu-img", "check", "--output=json", image)
    assert told["compressed-clusters"] > 100  # most of its disk is noise


@pytest.mark.guest
@pytest.mark.parametrize(("step", "way"), [("copy", "kill"), ("verify", "cancel")])
def test_domain_there_comes_back_when_the_new_one_does_not(
    sandbox: Sandbox, sshd: None, tiny: Path, step: str, way: str
) -> None:
    """It is replaced when the new one has come."""
    know_each_other(sandbox)
    code, output = migrate(sandbox, tiny, "--no-start", "--autostart")
    assert code == 0, output
    old = domain(sandbox)
    cut_off(sandbox, begin(sandbox, tiny, "--target", URI, "--overwrite"), step, way)
    assert domain(sandbox) == old
    assert sandbox.run("sh", "-c", FAR_FILES).out == ""
    if way == "cancel":
        return
    code, output = migrate(sandbox, tiny, "--no-start", "--overwrite", "--format", "qcow2")
    assert code == 0, output
    assert "These are replaced on the target host: the domain 'tiny1'" in output
    assert domain(sandbox)[0] != old[0]
    assert sandbox.run("ls", "-A", IMAGES).out == "tiny1-vda.qcow2\n"


def domain(sandbox: Sandbox) -> tuple[object, ...]:
    """Return what the domain there is: its XML, autostart, and its files with their content."""
    return (
        sorted(sandbox.run("virsh", "dumpxml", "tiny1").out.splitlines()),
        target(sandbox),
        sandbox.run("sh", "-c", f"ls -A {IMAGES}; sha256sum {IMAGES}/*").out,
    )


@pytest.mark.slow
def test_what_another_host_cannot_do_is_refused_at_once(
    sandbox: Sandbox, sshd: None, tiny: Path
) -> None:
    code, output = migrate(sandbox, tiny)
    assert code == 1
    assert "is not known to root's ssh" in output
    know_each_other(sandbox)
    code, output = migrate(sandbox, tiny, "--pool", "none")
    assert code == 1
    assert "There is no storage pool 'none'" in output
    code, output = migrate(sandbox, tiny, "--directory", "/srv")
    assert code == 1
    assert "has no storage pool of the folder /srv" in output
    assert "pool-define-as NAME dir --target /srv" in output
