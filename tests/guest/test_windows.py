# SPDX-License-Identifier: GPL-2.0-or-later
"""Windows is known by its folder on NTFS, in whatever case it is written."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from xen2kvmd import guest
from xen2kvmd.errors import Unsupported
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.model import Family, Firmware

pytestmark = pytest.mark.slow


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    """A disk with an NTFS that is empty."""
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    with Appliance.open(
        [DiskImage("hda", str(disk), "raw")], writable=True, emulate=True
    ) as opened:
        opened.call("part_disk", "/dev/vda", "mbr")
        opened.call("mkfs", "ntfs", "/dev/vda1")
        yield opened


def test_windows_is_told_from_other_ntfs(appliance: Appliance) -> None:
    with pytest.raises(Unsupported, match="looks like Windows"):
        guest.inspect(appliance)
    assert guest.windows(appliance) is None

    appliance.call("mount", "/dev/vda1", "/")
    appliance.call("mkdir_p", "/WINDOWS/system32")
    appliance.call("umount_all")

    found = guest.windows(appliance)
    assert found is not None
    assert (found.family, found.firmware, found.boot_disk) == (Family.WINDOWS, Firmware.BIOS, "hda")
    assert not found.virtio
    assert appliance.call("mountpoints") == {}


def test_what_is_neither_is_named_with_who_may_convert_it(appliance: Appliance) -> None:
    appliance.call("mkfs", "ext4", "/dev/vda1")
    with pytest.raises(Unsupported, match=r"No Linux system .*\(/dev/hda1: ext4\)") as raised:
        guest.inspect(appliance)
    assert "--engine v2v" in raised.value.hint
    assert guest.unknown(appliance).family is Family.UNKNOWN
