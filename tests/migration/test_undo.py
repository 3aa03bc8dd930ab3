# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations that fail, are cancelled or killed in the middle leave nothing, whatever the step."""

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.test_migration import shell
from xen2kvmd.system import blocks

pytestmark = pytest.mark.guest

JOBS = "/var/lib/xen2kvmd/jobs"
LONG_STEPS = ("inspect", "convert", "copy", "verify")  # long enough to be met in their middle
OURS = r"qemu-nbd|guest=|guestfs|xen2kvmd\.job|qemu-img|virt-v2v|nbdkit"


def begin(sandbox: Sandbox, guest: Path, *options: str) -> str:
    return sandbox.run(
        *("xen2kvm", "migrate", "--detach", "--network", "default", *options),
        str(guest / "guest.xml"),
    ).out.strip()


def show(sandbox: Sandbox, job: str) -> Any:
    return sandbox.json("xen2kvm", "show", "--json", job)


def wait_for_step(sandbox: Sandbox, job: str, step: str, *, then: str = "sleep 0.3") -> None:
    """Wait in the sandbox itself, and do something there: a step may take a second only."""
    wait = f"""
        until grep -q '"step-begun", "step": "{step}"' {JOBS}/{job}/journal; do
          grep -q '"ended"' {JOBS}/{job}/journal && exit 1
          sleep 0.02
        done
        {then}
    """
    assert sandbox.run("bash", "-c", wait, seconds=600).code == 0


def cut_off(sandbox: Sandbox, job: str, step: str, way: str) -> None:
    """Cancel a job, or kill its worker, as soon as a step has begun; see that it ended so.

    The worker stands still until that is done: some steps take less time than busctl to begin.
    """
    path = f"/org/xen2kvm/Migrator1/jobs/{job.replace('-', '_')}"
    call = f"busctl call org.xen2kvm.Migrator1 {path} org.xen2kvm.Migrator1.Job Cancel 'a{{sv}}' 0"
    worker = f"$(cat {JOBS}/{job}/lock)"
    cancel = f"kill -STOP {worker}; {call}; kill -CONT {worker}"
    kill = f"kill -9 {worker}"
    wait_for_step(sandbox, job, step, then=kill if way == "kill" else cancel)
    sandbox.run("xen2kvm", "follow", job)
    assert show(sandbox, job)["State"] == ("failed" if way == "kill" else "cancelled")


def temporary(sandbox: Sandbox) -> set[str]:
    """Return what lies in /tmp, which is that of the machine."""
    return set(
        sandbox.run(
            "bash", "-c", "ls -d /tmp/xen2kvm-nbd-* /tmp/libguestfs* /tmp/v2v.*"
        ).out.split()
    )


def check_nothing_left(sandbox: Sandbox, job: str, before: set[str]) -> None:
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == ""
    volumes = sandbox.run("ls", "/var/lib/libvirt/images").out.split()
    assert volumes == []
    assert "scratch" not in sandbox.run("ls", f"{JOBS}/{job}").out.split()
    assert job not in sandbox.run("ls", "/var/lib/xen2kvmd/backups").out
    check_nothing_runs(sandbox)
    assert temporary(sandbox) <= before, temporary(sandbox) - before


def check_nothing_runs(sandbox: Sandbox) -> None:
    """Of a killed worker, libguestfs' recovery process is left: it looks around every 2 s."""
    deadline = time.monotonic() + 10
    while left := sandbox.run("pgrep", "-af", OURS).out:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


@pytest.fixture
def source(tiny: Path) -> Any:
    """The guest's disk, looked at before and after."""

    def digest() -> str:
        with (tiny / "disk.raw").open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    before = digest()
    yield tiny
    assert digest() == before


@pytest.mark.parametrize("step", LONG_STEPS)
def test_cancel_leaves_nothing(sandbox: Sandbox, source: Path, step: str) -> None:
    before = temporary(sandbox)
    job = begin(sandbox, source)
    wait_for_step(sandbox, job, step)
    begun = time.monotonic()
    cancelled = sandbox.run("xen2kvm", "cancel", job)
    assert cancelled.code == 0, cancelled.err + cancelled.out
    assert time.monotonic() - begun < 120  # it hangs, or it does not
    end = show(sandbox, job)
    assert (end["State"], end["ErrorName"]) == ("cancelled", "Cancelled")
    assert "left-behind" not in json.dumps(end["Findings"])
    check_nothing_left(sandbox, job, before)


@pytest.mark.parametrize("step", LONG_STEPS)
def test_killed_worker_leaves_nothing(sandbox: Sandbox, source: Path, step: str) -> None:
    before = temporary(sandbox)
    job = begin(sandbox, source)
    wait_for_step(sandbox, job, step)
    sandbox.run("bash", "-c", f"kill -9 $(cat {JOBS}/{job}/lock)")
    sandbox.run("xen2kvm", "follow", job)
    end = show(sandbox, job)
    assert (end["State"], end["ErrorName"]) == ("failed", "Interrupted")
    check_nothing_left(sandbox, job, before)


@pytest.mark.parametrize(
    ("first", "second"), [("backup-disks", "convert"), ("copy", "verify")], ids=str
)
def test_killed_worker_of_a_job_that_resumes_costs_nothing(
    sandbox: Sandbox, source: Path, first: str, second: str
) -> None:
    """In the middle of long steps; for the others see test_every_step.py."""
    before = temporary(sandbox)
    backup = ("--backup-disks", "/srv") if first == "backup-disks" else ()
    job = begin(sandbox, source, "--resume", *backup)
    for step in (first, second):
        wait_for_step(sandbox, job, step, then=f"kill -9 $(cat {JOBS}/{job}/lock)")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    end = show(sandbox, job)
    assert end["State"] == "succeeded"
    for step in (first, second):
        assert f"in step {step}; another one" in json.dumps(end["Findings"])
    assert "login prompt" in end["Result"]["boot"]
    assert "scratch" not in sandbox.run("ls", f"{JOBS}/{job}").out.split()
    # It does not hear that it shall shut down.
    sandbox.run("xen2kvm", "rollback", "--remove-target", "--shutdown-timeout", "1", job)
    sandbox.run("rm", end["Result"]["backup"])  # which a rollback leaves
    check_nothing_left(sandbox, job, before)
    if backup:
        kept = sandbox.run("ls", end["Result"]["backup-disks"]).out.split()
        assert kept == ["domain.xml", "manifest.json", "xvda.qcow2"]


def test_overlay_over_a_device_that_somebody_wrote_to_is_made_anew(
    sandbox: Sandbox, tiny_xentools: Path, tmp_path: Path
) -> None:
    """Nothing of a device tells that a guest ran on it between the two processes.

    The other disk, a file, is copied beside it.
    """
    shutil.copy(tiny_xentools / "bare.raw", tmp_path)
    argv = ("losetup", "--find", "--show", f"{tmp_path}/bare.raw")
    device = sandbox.run(*argv).out.strip()
    assert device
    text = (tiny_xentools / "guest.xml").read_text()
    text = text.replace("xvda1", "xvdb").replace("xvda2", "xvda")
    (tmp_path / "guest.xml").write_text(text.replace(f"{tiny_xentools}/root.raw", device))
    job = begin(sandbox, tmp_path, "--resume")
    new = ("/boot/meanwhile", "/boot/grub/meanwhile", "/etc/meanwhile")  # where we write, too
    there = " ".join(f"/mnt{path}" for path in new)
    write = f"mount {device} /mnt && touch {there} && umount /mnt"
    wait_for_step(sandbox, job, "copy", then=f"{write}; kill -9 $(cat {JOBS}/{job}/lock)")
    followed = sandbox.run("xen2kvm", "follow", job)
    sandbox.run("losetup", "--detach", device)
    assert followed.code == 0, followed.err + followed.out
    end = show(sandbox, job)
    assert "in step copy; another one" in json.dumps(end["Findings"])
    swap = blocks.digest(str(tiny_xentools / "swap.raw"), "raw", lambda _done, _total: None)
    assert end["Result"]["digest-vdb"] == swap
    said = shell(sandbox, "tiny3", f"ls {' '.join(new)} | sed s/^/found:/")
    assert all(f"found:{path}" in said for path in new), said


def begin_virt_v2v(sandbox: Sandbox, guest: Path) -> str:
    """Return a job whose virt-v2v has started its appliance: not the one that looked before."""
    job = begin(sandbox, guest, "--engine", "v2v")
    wait_for_step(sandbox, job, "convert")
    wait = "until pgrep -x virt-v2v && pgrep -f 'qemu-system.*guestfs'; do sleep 0.1; done"
    assert sandbox.run("timeout", "120", "bash", "-c", wait).code == 0
    return job


def test_cancel_of_virt_v2v_leaves_nothing(sandbox: Sandbox, source: Path) -> None:
    before = temporary(sandbox)
    job = begin_virt_v2v(sandbox, source)
    assert sandbox.run("xen2kvm", "cancel", job).code == 0
    end = show(sandbox, job)
    assert (end["State"], end["ErrorName"]) == ("cancelled", "Cancelled")
    check_nothing_left(sandbox, job, before)


def test_killed_worker_of_virt_v2v_leaves_nothing(sandbox: Sandbox, source: Path) -> None:
    before = temporary(sandbox)
    job = begin_virt_v2v(sandbox, source)
    sandbox.run("bash", "-c", f"kill -9 $(cat {JOBS}/{job}/lock)")
    sandbox.run("xen2kvm", "follow", job)
    end = show(sandbox, job)
    assert (end["State"], end["ErrorName"]) == ("failed", "Interrupted")
    check_nothing_left(sandbox, job, before)


@pytest.mark.parametrize("step", ["copy", "verify"])
def test_killed_daemon_costs_nothing(sandbox: Sandbox, source: Path, step: str) -> None:
    job = begin(sandbox, source)
    wait_for_step(sandbox, job, step)
    assert sandbox.run("pkill", "-9", "-f", "xen2kvmd$|bin/xen2kvmd").code == 0
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    assert show(sandbox, job)["State"] == "succeeded"
    assert sandbox.run("virsh", "domstate", "tiny1").out.strip() == "running"


def test_guest_that_does_not_boot_in_time_is_undone(sandbox: Sandbox, source: Path) -> None:
    before = temporary(sandbox)
    job = begin(sandbox, source, "--boot-timeout", "2")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 1
    assert "did not boot" in followed.out
    assert "source is as it was" in followed.out
    assert "screenshot.png" in sandbox.run("ls", f"{JOBS}/{job}").out
    check_nothing_left(sandbox, job, before)


def test_domain_that_does_not_start_is_undone(sandbox: Sandbox, source: Path) -> None:
    before = temporary(sandbox)
    sandbox.run("virsh", "net-destroy", "default")
    try:
        job = begin(sandbox, source, "--waive", "network-inactive")
        followed = sandbox.run("xen2kvm", "follow", job)
    finally:
        # Its dnsmasq may yet be ending, or a libvirtd that was begun anew does not know it for its.
        again = "pkill -x dnsmasq; until virsh net-start default; do sleep 0.5; done"
        started = sandbox.run("timeout", "30", "sh", "-c", again)
    assert started.code == 0, started.err
    assert followed.code == 1
    assert "does not start" in followed.out
    report = sandbox.json("xen2kvm", "report", "--json", job)
    outcome = {step["name"]: step for step in report["steps"]}
    assert outcome["start"]["outcome"] == "failed"
    assert outcome["copy"]["undone"]
    check_nothing_left(sandbox, job, before)


def test_full_pool_in_the_middle_is_undone(sandbox: Sandbox, source: Path) -> None:
    """The room was there when the plan was made, and is gone when the copy is.

    What the converted disks take is reserved before the copy: that it has no room, shows then.
    """
    images = "/var/lib/libvirt/images"
    before = temporary(sandbox)
    sandbox.run("mount", "-t", "tmpfs", "-o", "size=500m", "tmpfs", images)
    try:
        job = begin(sandbox, source)
        wait_for_step(sandbox, job, "convert")
        sandbox.run("fallocate", "-l", "300M", f"{images}/somebody-elses")
        followed = sandbox.run("xen2kvm", "follow", job)
        assert followed.code == 1
        assert "are needed and 200.0 MiB are free" in followed.out
        assert sandbox.run("ls", images).out.split() == ["somebody-elses"]
    finally:
        sandbox.run("umount", images)
        sandbox.run("virsh", "pool-refresh", "default")
    check_nothing_left(sandbox, job, before)
