# SPDX-License-Identifier: GPL-2.0-or-later
"""A damaged file system is told, a sound one is not."""

from pathlib import Path

import pytest

from tests.guest.built import partitioned
from xen2kvmd.guest import check_file_systems
from xen2kvmd.guest.appliance import Appliance

pytestmark = pytest.mark.slow


def test_damage_is_told_and_nothing_else(tmp_path: Path) -> None:
    image = partitioned(tmp_path / "disk.raw", "2048,100M,83\n,,83\n")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("mkfs", "ext4", "/dev/vda1")
        appliance.call("mkfs", "btrfs", "/dev/vda2")
        mount(appliance)
        assert list(check_file_systems(appliance)) == []
        assert appliance.call("mountpoints") == {}

        mount(appliance)
        appliance.write("/file", "x" * 9000)
        number = appliance.call("lstatns", "/file")["st_ino"]
        appliance.call("umount_all")
        appliance.call("debug", "sh", [f"debugfs -w -R 'clri <{number}>' /dev/vda1"])
        mount(appliance)
        found = list(check_file_systems(appliance))
        assert [(one.id, one.place) for one in found] == [("filesystem-damaged", "/dev/vda1")]


def mount(appliance: Appliance) -> None:
    appliance.call("mount", "/dev/vda1", "/")
    appliance.call("mkdir_p", "/data")
    appliance.call("mount", "/dev/vda2", "/data")
