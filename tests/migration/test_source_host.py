# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of a libvirt: shut down for the migration, started again if it fails; and by ssh."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.sshd import KNOW_HOST, KNOW_KEY, know_each_other
from tests.migration.test_undo import wait_for_step
from tests.migration.xenhost import URI, shell, state

SSH_URI = "test+ssh://root@localhost:2222/default"


def migrate(sandbox: Sandbox, *options: str) -> tuple[int, str]:
    argv = ("xen2kvm", "migrate", "-c", URI, "--network", "default", *options, "tiny1")
    ended = sandbox.run(*argv)
    return ended.code, ended.err + ended.out


def plan_by_ssh(sandbox: Sandbox) -> tuple[int, str]:
    ended = sandbox.run("xen2kvm", "plan", "-c", SSH_URI, "tiny1")
    return ended.code, ended.err + ended.out


@pytest.mark.guest
def test_running_guest_is_shut_down_and_migrated(sandbox: Sandbox, source_host: None) -> None:
    code, output = migrate(sandbox)
    assert code == 0, output
    assert "login prompt" in output
    assert "source-running" in output
    assert state(sandbox) == "shut off"
    assert sandbox.run("virsh", "domstate", "tiny1").out.strip() == "running"


@pytest.mark.guest
def test_guest_is_started_again_after_a_failure(sandbox: Sandbox, source_host: None) -> None:
    code, output = migrate(sandbox, "--boot-timeout", "1")
    assert code == 1
    assert "did not boot" in output
    assert "was running; shut down" in output
    assert "left-behind" not in output
    assert state(sandbox) == "running"
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == ""


@pytest.mark.guest
def test_running_guest_is_left_alone_where_that_is_said(
    sandbox: Sandbox, source_host: None
) -> None:
    code, output = migrate(sandbox, "--shutdown-mode", "never")
    assert code == 1
    assert "The guest 'tiny1' runs." in output
    assert state(sandbox) == "running"
    # It is looked into in that time, but not migrated.
    end = datetime.now(UTC) + timedelta(seconds=45)
    code, output = migrate(sandbox, "--finish-by", end.isoformat(timespec="seconds"))
    assert code == 1
    assert "The new guest would be up" in output
    assert state(sandbox) == "running"


@pytest.mark.slow
def test_ssh_never_asks_and_says_what_to_do(
    sandbox: Sandbox, source_host: None, sshd: None
) -> None:
    code, output = plan_by_ssh(sandbox)
    assert code == 1
    assert "is not known to root's ssh" in output
    assert "ssh root@localhost -p 2222" in output

    shell(sandbox, KNOW_HOST)
    code, output = plan_by_ssh(sandbox)
    assert code == 1
    assert "refused the login" in output

    shell(sandbox, KNOW_KEY)
    shell(sandbox, "kill $(cat /run/far/pid); while [ -e /run/far/pid ]; do sleep 0.1; done")
    code, output = plan_by_ssh(sandbox)
    assert code == 1
    assert "Connection refused" in output


@pytest.mark.guest
def test_guest_is_migrated_with_its_disk_read_over_ssh(
    sandbox: Sandbox, source_host: None, sshd: None, tiny: Path
) -> None:
    know_each_other(sandbox)
    image = tiny / "disk.raw"
    argv = ("losetup", "--find", "--show", "--read-only", str(image))
    device = sandbox.run(*argv).out.strip()  # as LVM: a block device of the Xen host
    try:
        ended = sandbox.run(
            "xen2kvm", "migrate", "-c", SSH_URI, "--network", "default",
            "--path-map", f"{image}=ssh://root@localhost:2222{device}", "tiny1",
        )  # fmt: skip
    finally:
        sandbox.run("losetup", "--detach", device)
    output = ended.err + ended.out
    assert ended.code == 0, output
    assert "remote-disks" in output
    assert "login prompt" in output
    assert state(sandbox) == "shut off"
    assert sandbox.run("virsh", "domstate", "tiny1").out.strip() == "running"
    assert sandbox.run("sh", "-c", "ls -d /run/xen2kvm-*").out == ""


@pytest.mark.guest
def test_connection_lost_in_the_middle_undoes_all(
    sandbox: Sandbox, source_host: None, sshd: None
) -> None:
    know_each_other(sandbox)
    argv = ("xen2kvm", "migrate", "--detach", "-c", SSH_URI, "--network", "default", "tiny1")
    began = sandbox.run(*argv)
    assert began.code == 0, began.err
    job = began.out.strip()
    wait_for_step(sandbox, job, "convert")
    shell(sandbox, "pkill -P $(cat /run/far/pid)")  # not the server itself: it comes back
    ended = sandbox.run("xen2kvm", "follow", job)
    assert ended.code == 1
    assert "The connection to the host root@localhost:2222 was lost" in ended.err + ended.out
    assert state(sandbox) == "running"
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == ""
    assert sandbox.run("sh", "-c", "ls -d /run/xen2kvm-*").out == ""


@pytest.mark.slow
def test_guests_of_a_host_are_listed(sandbox: Sandbox, source_host: None) -> None:
    listed = {
        guest["name"]: guest for guest in sandbox.json("xen2kvm", "guests", "--json", "-c", URI)
    }
    tiny1 = listed["tiny1"]
    assert (tiny1["state"], tiny1["kind"], tiny1["memory"]) == ("running", "linux", 256 << 20)
    assert [(disk["dev"], disk["size"]) for disk in tiny1["disks"]] == [("xvda", 1 << 30)]
    assert "no Xen guest" in listed["test"]["trouble"]  # the test driver's own
    shown = sandbox.run("xen2kvm", "guests", "-c", URI).out
    assert "tiny1  running" in shown
    assert "xvda: 1.0 GiB" in shown
