# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest goes into a real logical volume: the Xen host's kernel has a device-mapper.

A host that is given up for Xen is often KVM's next; its libvirt has a driver for QEMU, too.
"""

from pathlib import Path

import pytest

from tests.migration.conftest import build
from tests.migration.sandbox import Sandbox
from tests.xen.xenhost import XenHost

pytestmark = [pytest.mark.xen, pytest.mark.xdist_group("xen")]

URI = "qemu+ssh://root@xenhost/system"
POOL = """
virsh pool-define-as vg0 logical --source-name vg0 --target /dev/vg0
virsh pool-start vg0
"""
VOLUMES = "lvs --noheadings --units b --nosuffix -o lv_name,lv_size vg0"
BOOT_CODE = "dd if=/dev/vg0/tiny1-vda.img bs=512 count=1 status=none | grep -ac GRUB"


@pytest.fixture
def tiny() -> Path:
    return build("tiny")


def test_guest_goes_into_a_logical_volume_and_back(
    sandbox: Sandbox, host: XenHost, tiny: Path
) -> None:
    host.shell(f"export LIBVIRT_DEFAULT_URI=qemu:///system\n{POOL}")
    before = host.shell(VOLUMES)
    options = ("--target", URI, "--pool", "vg0", "--format", "raw", "--bridge", "xenbr0")
    argv = ("xen2kvm", "migrate", "--detach", "--no-start", *options, str(tiny / "guest.xml"))
    job = sandbox.run(*argv).out.strip()
    followed = sandbox.run("xen2kvm", "follow", job, seconds=1800)
    assert followed.code == 0, followed.err + followed.out
    volumes = dict(line.split() for line in host.shell(VOLUMES).splitlines())
    assert int(volumes["tiny1-vda.img"]) == (tiny / "disk.raw").stat().st_size
    assert host.shell(BOOT_CODE).strip() == "1"
    document = host.shell("virsh -c qemu:///system dumpxml tiny1")
    assert "pool='vg0' volume='tiny1-vda.img'" in document

    back = sandbox.run("xen2kvm", "rollback", "--remove-target", job)
    assert back.code == 0, back.err + back.out
    assert host.shell(VOLUMES) == before
    assert host.shell("virsh -c qemu:///system list --all --name").strip() == ""
