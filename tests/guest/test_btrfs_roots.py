# SPDX-License-Identifier: GPL-2.0-or-later
"""The root is found in whatever subvolume a distribution puts it."""

from pathlib import Path
from typing import Any

import pytest

from tests.guest.built import partitioned
from xen2kvmd import guest
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.mount import mount_guest

pytestmark = pytest.mark.slow


def root(appliance: Appliance, folder: str, options: str) -> None:
    appliance.call("mkdir_p", f"{folder}/etc")
    appliance.call("mkdir_p", f"{folder}/home")
    appliance.write(f"{folder}/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    line = "/dev/xvda1 {} btrfs {} 0 0\n"
    text = line.format("/", options) + line.format("/home", "subvol=home")
    appliance.write(f"{folder}/etc/fstab", text)


def test_roots_of_debian_and_suse_are_found(tmp_path: Path) -> None:
    image = partitioned(tmp_path / "disk.raw", "2048,,83\n")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("mkfs", "btrfs", "/dev/vda1")
        appliance.call("mount", "/dev/vda1", "/")
        appliance.call("btrfs_subvolume_create", "/@rootfs")
        appliance.call("btrfs_subvolume_create", "/home")
        root(appliance, "/@rootfs", "subvol=@rootfs")
        appliance.call("umount_all")

        mounts = mount_guest(appliance)
        assert mounts.root.subvolume == "subvol=@rootfs"
        assert mounts.holding("/home/x")[1].subvolume == "subvol=home"
        assert appliance.is_file("/etc/fstab")
        appliance.call("umount_all")
        area = guest.inspect(appliance).boot_area
        assert (area.filesystem, area.device) == ("btrfs", "")
        appliance.call("umount_all")

        appliance.call("mount", "/dev/vda1", "/")
        numbers = {v["btrfssubvolume_path"]: v["btrfssubvolume_id"] for v in listed(appliance)}
        appliance.call("btrfs_subvolume_set_default", numbers["@rootfs"], "/")
        appliance.call("umount_all")
        assert mount_guest(appliance).root.subvolume == "default"


def listed(appliance: Appliance) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = appliance.call("btrfs_subvolume_list", "/")
    return found
