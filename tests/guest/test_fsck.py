# SPDX-License-Identifier: GPL-2.0-or-later
"""A damaged file system is told, a sound one is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.guest.built import partitioned
from xen2kvmd.guest import check_before, check_file_systems, noted_damage
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.model import SourceDisk
from xen2kvmd.steps.plan import file_systems

pytestmark = pytest.mark.slow


def test_damage_is_told_and_nothing_else(tmp_path: Path) -> None:
    image = partitioned(tmp_path / "disk.raw", "2048,100M,83\n,120M,83\n,,c\n")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("mkfs", "ext4", "/dev/vda1")
        appliance.call("mkfs", "btrfs", "/dev/vda2")
        appliance.call("mkfs", "vfat", "/dev/vda3")
        appliance.call("mount", "/dev/vda2", "/")
        appliance.call("btrfs_subvolume_create", "/@home")
        appliance.write("/@home/in-home", "x")
        appliance.call("umount_all")
        mount(appliance)
        places = appliance.call("mountpoints")
        numbers = {appliance.room(path) for path in places.values()}
        assert len({room.system for room in numbers if room}) == 3
        before = check_before(appliance)
        assert before == {"/dev/vda1": None, "/dev/vda2": None, "/dev/vda3": None}
        assert appliance.call("mountpoints") == places
        assert appliance.exists("/data/in-home")
        assert list(check_file_systems(appliance, before)) == []
        assert appliance.call("mountpoints") == {}

        mount(appliance)
        appliance.write("/file", "x" * 9000)
        number = appliance.call("lstatns", "/file")["st_ino"]
        appliance.call("umount_all")
        appliance.shell(f"debugfs -w -R 'clri <{number}>' /dev/vda1")
        spoil_second_table(appliance, "/dev/vda3")
        mount(appliance)
        now = check_before(appliance)
        assert [one and one.id for one in now.values()] == [
            "filesystem-damaged-before",
            None,
            "filesystem-damaged-before",
        ]
        found = list(check_file_systems(appliance, {**before, "/dev/vda3": now["/dev/vda3"]}))
        assert [(one.id, one.place) for one in found] == [
            ("filesystem-damaged", "/dev/vda1"),
            ("filesystem-damaged", "/dev/vda3"),
        ]
        assert found[0].message.endswith(" is damaged, which it was not before.")
        assert found[1].message.endswith(" is damaged, as it was before.")
        assert all(one.said for one in found)  # names of the guest's files, perhaps

        mount(appliance)
        assert list(noted_damage(appliance)) == []  # the kernel has not seen it yet
        appliance.call("umount_all")
        appliance.shell("debugfs -w -R 'ssv state 2' /dev/vda1")  # as ext4 does (EXT2_ERROR_FS)
        mount(appliance)
        here = SourceDisk("xvda", "/disk.raw", "raw", 1, 1)
        there = replace(here, host="ssh://root@xen1")
        (noted,) = file_systems(appliance, [here], live=False)
        assert (noted.id, noted.place) == ("filesystem-has-errors", "/dev/vda1")
        assert [one.id for one in file_systems(appliance, [here, there], live=False)] == [
            "filesystem-has-errors",
            "filesystem-not-checked",
        ]
        assert list(file_systems(appliance, [here], live=True)) == []


def mount(appliance: Appliance) -> None:
    appliance.call("mount", "/dev/vda1", "/")
    appliance.call("mkdir_p", "/data")
    appliance.call("mount_options", "subvol=@home", "/dev/vda2", "/data")
    appliance.call("mkdir_p", "/fat")
    appliance.call("mount", "/dev/vda3", "/fat")


def spoil_second_table(appliance: Appliance, device: str) -> None:
    """Let the two file allocation tables of FAT differ."""
    head = appliance.read_bytes(device, offset=0, size=512)
    reserved, size = (int.from_bytes(head[at : at + 2], "little") for at in (14, 22))
    appliance.write_bytes(device, b"\x55" * 16, offset=(reserved + size) * 512 + 16)
