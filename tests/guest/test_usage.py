# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest's file systems use tells how much of its disks is copied."""

from pathlib import Path

import pytest

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import trim
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.guest.usage import Usage, read_usage, usage
from xen2kvmd.system import blocks
from xen2kvmd.system.disk import make_overlay

MIB = 1 << 20


def test_file_system_of_a_partition_is_its_disk_s() -> None:
    text = "= /dev/vda1 1000 400\nvda1 part 1100\nvda disk 5000\n"
    assert list(read_usage(text)) == [("vda", Usage(400, 600))]


def test_volume_over_two_disks_is_shared_by_what_each_gives() -> None:
    text = (
        "= /dev/mapper/vg-data 1000 400\nvg-data lvm 1100\n"
        "vda2 part 300\nvda disk 5000\nvdb disk 900\n"
    )
    assert list(read_usage(text)) == [("vda", Usage(100, 150)), ("vdb", Usage(300, 450))]


@pytest.mark.parametrize(
    "below",
    [
        "luks crypt 1100\nvda2 part 1100\nvda disk 5000\n",
        "vg-thin lvm 1100\nvg-pool-tpool lvm 1100\nvda2 part 1100\nvda disk 5000\n",
        "md0 raid1 1100\nvda2 part 1100\nvda disk 5000\n",
    ],
    ids=["encrypted", "thin", "array"],
)
def test_what_passes_no_trim_on_gives_nothing_back(below: str) -> None:
    assert list(read_usage(f"= /dev/mapper/x 1000 400\n{below}")) == [("vda", Usage(400, 0))]


@pytest.mark.slow
def test_what_a_guest_has_deleted_is_not_copied(tmp_path: Path) -> None:
    """The disk is full of old data, as a volume may be; it is known before the trim."""
    old, new, disk = (tmp_path / name for name in ("old.raw", "new", "disk.qcow2"))
    old.write_bytes(b"old!" * (256 * MIB // 4))
    new.write_bytes(b"new!" * (32 * MIB // 4))
    make_overlay(disk, base=str(old), base_format="raw")
    image = DiskImage("xvda", str(disk), "qcow2")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("part_init", "/dev/vda", "mbr")
        appliance.call("part_add", "/dev/vda", "p", 2048, 2048 + 192 * 2048 - 1)
        appliance.call("mkfs", "ext4", "/dev/vda1")
        appliance.call("mount", "/dev/vda1", "/")
        appliance.call("upload", str(new), "/data")
        found = usage(appliance)["xvda"]
        appliance.call("umount_all")
        assert usage(appliance)["xvda"] == found  # virt-v2v's: none is mounted
        appliance.call("mount", "/dev/vda1", "/")
        trim(appliance)
    assert 32 * MIB <= found.used < 48 * MIB
    copied = blocks.count(str(disk), "qcow2")
    assert copied <= 256 * MIB - found.unused + 4 * MIB  # whole blocks are copied
    assert copied >= 64 * MIB + found.used  # what is behind the file system, too
