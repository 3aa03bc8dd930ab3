# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory for disks."""

from pathlib import Path

import pytest

from xen2kvmd.errors import InvalidOption, TargetExists
from xen2kvmd.model import Allocation, DiskFormat
from xen2kvmd.targets.directory import Directory


def test_volume_is_made_and_discarded(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    assert place.available() > 0
    volume = place.volume(dev="xvda", name="web1-vda.qcow2", disk_format=DiskFormat.QCOW2)
    place.make(volume, size=1 << 20, allocation=Allocation.SPARSE)
    assert (tmp_path / "web1-vda.qcow2").read_bytes()[:4] == b"QFI\xfb"
    place.discard(volume)
    place.discard(volume)  # twice is once
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", [True, False])
def test_what_is_there_is_not_overwritten(tmp_path: Path, *, link: bool) -> None:
    there = tmp_path / "web1-vda.qcow2"
    there.symlink_to("/nonexistent") if link else there.write_text("precious")
    with pytest.raises(TargetExists, match=there.name):
        Directory(str(tmp_path)).volume(dev="xvda", name=there.name, disk_format=DiskFormat.QCOW2)


@pytest.mark.parametrize("path", ["relative", "/nonexistent/folder", "/etc/passwd"])
def test_what_is_no_directory_is_refused(path: str) -> None:
    with pytest.raises(InvalidOption, match=path):
        Directory(path).available()
