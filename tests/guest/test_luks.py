# SPDX-License-Identifier: GPL-2.0-or-later
"""Encrypted disks are opened by the keys that fit, and called as the guest calls them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.built import partitioned
from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest import luks
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import file_systems
from xen2kvmd.guest.key import Key
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.system.disk import make_image

pytestmark = pytest.mark.slow

UUIDS = ("7fd3486c-d30a-4594-9b0e-08595c520971", "7fd3486c-d30a-4594-9b0e-08595c520972")
ENCRYPTED = dict(zip(("/dev/vda1", "/dev/vda2"), UUIDS, strict=True))


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    """Two encrypted partitions, whose passphrases are one and two, and a root in the clear."""
    image = partitioned(tmp_path / "disk.raw", "2048,60M,83\n,60M,83\n,,83\n")
    cheap = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
    with Appliance.open([image], writable=True, emulate=True) as opened:
        for (device, uuid), word in zip(ENCRYPTED.items(), ("one", "two"), strict=True):
            format_it = f"cryptsetup luksFormat -q {cheap} --uuid {uuid} {device} -"
            opened.shell(f"printf {word} | {format_it}")
        opened.call("mkfs", "ext4", "/dev/vda3")
        yield opened


def test_data_disk_that_is_encrypted_as_a_whole_is_known(tmp_path: Path) -> None:
    root, data = partitioned(tmp_path / "disk.raw", ",,83\n"), tmp_path / "data.raw"
    make_image(data, image_format="raw", size=64 << 20, preallocated=False)
    images = [root, DiskImage("xvdb", str(data), "raw")]
    with Appliance.open(images, writable=True, emulate=True, keys=[Key("all", "one")]) as opened:
        cheap = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
        opened.shell(f"printf one | cryptsetup luksFormat -q {cheap} /dev/vdb -")
        (found,) = [system for system in file_systems(opened) if system.kind == luks.KIND]
        assert found.device == "/dev/vdb"
        assert names(luks.unlock(opened, {found.device: found.uuid})) == [
            ("/dev/vdb", f"luks-{found.uuid}")
        ]


def names(opened: tuple[luks.Opened, ...]) -> list[tuple[str, str]]:
    return [(one.device, one.name) for one in opened]


def test_keys_open_what_they_fit_and_others_are_refused(appliance: Appliance) -> None:
    for keys, why in (
        ([Key("all", "neither")], "does not open /dev/xvda1"),
        ([Key("/dev/xvda2", "one")], "does not open /dev/xvda2"),
        ([Key("/dev/xvda3", "one")], "is no encrypted disk"),
    ):
        appliance.keys = tuple(keys)
        with pytest.raises(InvalidOption, match=why):
            luks.unlock(appliance, ENCRYPTED)
    assert appliance.call("list_dm_devices") == []

    appliance.keys = (Key("all", "two"),)
    opened = luks.unlock(appliance, ENCRYPTED)
    assert names(opened) == [("/dev/vda2", f"luks-{UUIDS[1]}")]

    appliance.call("mount", "/dev/vda3", "/")
    appliance.write("/etc/crypttab", f"home_crypt UUID={UUIDS[1]} none luks\nx/y /dev/xvda2\n")
    named = luks.as_the_guest_names(appliance, opened)
    assert names(named) == [("/dev/vda2", "home_crypt")]
    appliance.call("umount_all")
    luks.rename(appliance, opened, named)
    assert appliance.call("list_dm_devices") == ["/dev/mapper/home_crypt"]
