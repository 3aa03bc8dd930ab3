# SPDX-License-Identifier: GPL-2.0-or-later
"""Of several that look like a root, the guest's own is converted, and the others are told."""

from pathlib import Path

import pytest

from tests.guest.built import partitioned
from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.mount import Mounts, mount_guest

pytestmark = pytest.mark.slow

TABLE = "2048,40M,83\n,40M,83\n,,8e\n"


def root(appliance: Appliance, device: str, *lines: str) -> None:
    appliance.call("mkfs", "ext4", device)
    appliance.call("mount", device, "/")
    appliance.call("mkdir_p", "/etc")
    appliance.call("mkdir_p", "/boot")
    appliance.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    appliance.write("/etc/fstab", "".join(f"{line} ext4 defaults 0 1\n" for line in lines))
    appliance.call("umount_all")


def found(appliance: Appliance) -> Mounts:
    mounts = mount_guest(appliance)
    appliance.call("umount_all")
    return mounts


def test_fstab_and_menu_tell_the_root_from_its_copies(tmp_path: Path) -> None:
    image = partitioned(tmp_path / "disk.raw", TABLE)
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("vgcreate", "cl", ["/dev/vda3"])
        for name in ("old_root", "root"):
            appliance.call("lvcreate", name, "cl", 32)
        appliance.call("mkfs", "ext4", "/dev/vda2")
        root(appliance, "/dev/vda1", "/dev/mapper/cl-root /")  # an rsync of it
        root(appliance, "/dev/cl/root", "/dev/mapper/cl-root /")
        mounts = found(appliance)
        assert mounts.root.device == "/dev/cl/root"
        assert mounts.other_roots == ("/dev/xvda1",)

        boot = "/dev/xvda2 /boot"
        root(appliance, "/dev/cl/old_root", "/dev/cl/old_root /", boot)
        root(appliance, "/dev/cl/root", "/dev/mapper/cl-root /", boot)
        appliance.call("mount", "/dev/vda2", "/")
        entry = "menuentry '{0}' {{\n linux /vmlinuz root=/dev/mapper/cl-{0} ro\n}}\n"
        menu = "set default=1\n" + entry.format("old_root") + entry.format("root")
        appliance.write("/grub2/grub.cfg", menu)
        appliance.call("umount_all")
        mounts = found(appliance)
        assert mounts.root.device == "/dev/cl/root"
        assert mounts.other_roots == ("/dev/cl/old_root", "/dev/xvda1")

        appliance.arguments = "root=/dev/xvda1 ro"  # the Xen host has the kernel
        assert found(appliance).root.device == "/dev/vda1"
        appliance.arguments = ""

        appliance.root = "/dev/xvda1"
        assert found(appliance).root.device == "/dev/vda1"
        appliance.root = "/dev/xvda2"
        with pytest.raises(InvalidOption, match="/dev/xvda2"):
            mount_guest(appliance)
