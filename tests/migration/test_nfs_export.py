# SPDX-License-Identifier: GPL-2.0-or-later
"""An NFS export as the target (guide 15.1: -os remote_host:/exported_dir), by libvirt's own pool.

The kernel of a machine that runs tests may have no NFS: mount.nfs(8) is one of ours, which mounts a
file system of the same name. All else is what a host with NFS runs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.sshd import know_each_other
from tests.migration.test_far_target import URI as FAR
from tests.migration.test_undo import begin, check_nothing_left, cut_off, show, temporary
from xen2kvmd.model import export_pool

pytestmark = pytest.mark.guest

EXPORT = "nas1.example.org:/exports/vm"
POOL = export_pool("nas1.example.org:/exports/vm")
FOLDER = f"/var/lib/libvirt/netfs/{POOL}"
MOUNT = """#!/bin/sh
case $1 in nas1.example.org:/exports/vm) exec mount -i -t tmpfs -o size=3g "$1" "$2" ;; esac
echo "mount.nfs: access denied by server while mounting $1" >&2
exit 32
"""


@pytest.fixture
def server(sandbox: Sandbox, tmp_path: Path) -> Iterator[None]:
    """Let mount(8) find our mount.nfs, in the sandbox alone."""
    helper = tmp_path / "sbin/mount.nfs"
    helper.parent.mkdir()
    helper.write_text(MOUNT)
    helper.chmod(0o755)
    lower = f"lowerdir={helper.parent}:/usr/sbin"
    assert sandbox.run("mount", "-t", "overlay", "-o", lower, "overlay", "/usr/sbin").code == 0
    yield
    assert sandbox.run("umount", "--lazy", "/usr/sbin").code == 0


# A folder is in use, too, by a process that is in it.
STOP = """
import subprocess
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import NfsExport
with connected() as host:
    export = NfsExport(host, sys.argv[1])
    host.define_pool(export.document())
    host.start_pool(export.name)
    with subprocess.Popen(["sleep", "3"], cwd=host.pool_folder(export.name)):
        host.stop_pool(export.name)
    host.undefine_pool(export.name)
"""


def pools(sandbox: Sandbox) -> list[str]:
    return sandbox.run("virsh", "pool-list", "--all", "--name").out.split()


@pytest.mark.usefixtures("server")
def test_export_in_use_is_waited_for(sandbox: Sandbox) -> None:
    """Who wrote there ends a while after the connection was lost."""
    stopped = sandbox.python(STOP, EXPORT)
    assert stopped.code == 0, stopped.err
    assert POOL not in pools(sandbox)


@pytest.mark.usefixtures("server")
def test_guest_lives_on_the_export_and_its_pool_stays(sandbox: Sandbox, tiny: Path) -> None:
    job = begin(sandbox, tiny, "-os", EXPORT)
    assert sandbox.run("xen2kvm", "follow", job).code == 0
    assert "nfs-export" in [found["id"] for found in show(sandbox, job)["Findings"]]
    assert "login prompt" in show(sandbox, job)["Result"]["boot"]
    assert sandbox.run("ls", FOLDER).out == "tiny1-vda.qcow2\n"
    assert "Autostart:      yes" in sandbox.run("virsh", "pool-info", POOL).out
    second = begin(sandbox, tiny, "-os", EXPORT, "--name", "tiny2", "--no-start")
    assert sandbox.run("xen2kvm", "follow", second).code == 1  # the same UUID: this one is there
    assert POOL in pools(sandbox)
    assert sandbox.run("xen2kvm", "rollback", "--remove-target", job).code == 0
    assert sandbox.run("ls", FOLDER).out == ""
    sandbox.run("rm", show(sandbox, job)["Result"]["backup"])
    for command in ("pool-destroy", "pool-delete", "pool-undefine"):
        assert sandbox.run("virsh", command, POOL).code == 0


@pytest.mark.usefixtures("server")
def test_job_that_is_killed_leaves_no_pool_and_no_mount(sandbox: Sandbox, tiny: Path) -> None:
    before = temporary(sandbox)
    job = begin(sandbox, tiny, "-os", EXPORT)
    cut_off(sandbox, job, "copy", "kill")
    assert pools(sandbox) == ["default"]
    assert FOLDER not in sandbox.run("cat", "/proc/mounts").out
    assert sandbox.run("ls", FOLDER).code != 0
    check_nothing_left(sandbox, job, before)


@pytest.mark.usefixtures("server", "sshd")
def test_other_host_mounts_the_export(sandbox: Sandbox, tiny: Path) -> None:
    """What is cut off leaves it nothing; else its pool stays."""
    before = temporary(sandbox)
    know_each_other(sandbox)
    options = ("-os", EXPORT, "--target", FAR, "--no-start")
    job = begin(sandbox, tiny, *options)
    cut_off(sandbox, job, "copy", "kill")
    assert pools(sandbox) == ["default"]
    assert FOLDER not in sandbox.run("cat", "/proc/mounts").out
    check_nothing_left(sandbox, job, before)

    job = begin(sandbox, tiny, *options)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    assert sandbox.run("ls", FOLDER).out == "tiny1-vda.qcow2\n"
    assert "Autostart:      yes" in sandbox.run("virsh", "-c", FAR, "pool-info", POOL).out
    assert sandbox.run("xen2kvm", "rollback", "--remove-target", job).code == 0
    sandbox.run("rm", show(sandbox, job)["Result"]["backup"])
    for command in ("pool-destroy", "pool-delete", "pool-undefine"):
        assert sandbox.run("virsh", command, POOL).code == 0


@pytest.mark.usefixtures("server")
def test_export_that_cannot_be_mounted_is_told(sandbox: Sandbox, tiny: Path) -> None:
    before = temporary(sandbox)
    job = begin(sandbox, tiny, "-os", "nas1.example.org:/secret")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 1
    assert "access denied by server" in followed.out
    assert pools(sandbox) == ["default"]
    check_nothing_left(sandbox, job, before)
