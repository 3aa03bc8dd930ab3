# SPDX-License-Identifier: GPL-2.0-or-later
"""Subvolumes are read from what libguestfs and btrfs(8) say of them, odd names included."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.guest.roots import find_roots
from xen2kvmd.guest.subvolumes import candidates, is_read_only

SYSTEM = FileSystem("/dev/vda1", "btrfs", uuid="3e6b")
LISTED = """\
ID 256 gen 9 top level 5 path @rootfs
ID 257 gen 9 top level 5 path h?me
"""


class Handle:
    """libguestfs' handle of an appliance; a folder of this host is the top of each btrfs."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.said = {"subvolume list": LISTED, "property get": "ro=false\n"}

    def get_pid(self) -> int:
        return 0

    def mount_options(self, options: str, device: str, path: str) -> None:
        pass

    def umount_all(self) -> None:
        pass

    def statns(self, path: str) -> dict[str, int]:
        try:
            state = os.stat(self.top / path[1:])
        except FileNotFoundError as error:
            raise RuntimeError(f"statns: {path}: {error.strerror}") from error
        return {"st_mode": state.st_mode, "st_size": state.st_size}

    def btrfs_subvolume_get_default(self, _path: str) -> int:
        return 256

    def btrfs_subvolume_list(self, _path: str) -> list[str]:
        return [name.decode() for name in (b"@rootfs", b"h\xf4me")]

    def debug(self, command: str, arguments: list[str]) -> str:
        assert command == "sh"
        return next(answer for words, answer in self.said.items() if words in arguments[0])


@pytest.fixture
def handle(tmp_path: Path) -> Handle:
    """Return the handle of a root in @rootfs, beside a subvolume whose name is Latin-1."""
    etc = tmp_path / "@rootfs/etc"
    etc.mkdir(parents=True)
    for name in ("fstab", "passwd"):
        (etc / name).touch()
    return Handle(tmp_path)


@pytest.fixture
def appliance(handle: Handle) -> Appliance:
    disks = [DiskImage("xvda", "", "raw"), DiskImage("xvdb", "", "raw")]
    return Appliance(handle, disks, keys=(), root="", arguments="", patience=1.0)


def test_btrfs_on_two_disks_is_one_root(appliance: Appliance) -> None:
    (found,) = find_roots(appliance, [SYSTEM, replace(SYSTEM, device="/dev/vdb")])

    assert found.name == "/dev/xvda1"


def test_what_is_not_utf_8_is_an_error_with_a_name(appliance: Appliance) -> None:
    with pytest.raises(Failed, match="btrfs_subvolume_list"):
        appliance.call("btrfs_subvolume_list", "/")


def test_root_is_found_beside_a_subvolume_whose_name_is_not_utf_8(appliance: Appliance) -> None:
    (found,) = candidates(appliance, [SYSTEM], SYSTEM)

    assert (found.path, found.rank) == ("@rootfs", 0)


def test_subvolume_says_whether_it_can_be_written_to(appliance: Appliance, handle: Handle) -> None:
    assert not is_read_only(appliance)
    handle.said["property get"] = "ro=true\n"
    assert is_read_only(appliance)
