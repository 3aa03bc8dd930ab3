# SPDX-License-Identifier: GPL-2.0-or-later
"""The root is found in whatever subvolume a distribution puts it, and copies of it are not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.guest.built import partitioned
from xen2kvmd import guest
from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.mount import Mounts, mount_guest

pytestmark = pytest.mark.slow

ENTRY = "menuentry '{0}' {{\n linux /{0}/boot/vmlinuz root=/dev/xvda1 ro {1}\n}}\n"


def root(appliance: Appliance, folder: str, options: str, *more: str, menu: str = "") -> None:
    appliance.call("mkdir_p", f"{folder}/etc")
    appliance.call("mkdir_p", f"{folder}/home")
    appliance.call("mkdir_p", f"{folder}/boot")
    appliance.write(f"{folder}/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    lines = (f"/dev/xvda1 / btrfs {options} 0 0", *more)
    appliance.write(f"{folder}/etc/fstab", "".join(f"{line}\n" for line in lines))
    if menu:
        appliance.write(f"{folder}/boot/grub/grub.cfg", menu)


@contextmanager
def empty(appliance: Appliance, *subvolumes: str) -> Iterator[dict[str, int]]:
    """Have a new btrfs with these subvolumes mounted; give the number of each."""
    appliance.call("mkfs", "btrfs", "/dev/vda1")
    appliance.call("mount", "/dev/vda1", "/")
    for path in subvolumes:
        appliance.call("mkdir_p", f"/{path}".rpartition("/")[0] or "/")
        appliance.call("btrfs_subvolume_create", f"/{path}")
    yield {each["btrfssubvolume_path"]: each["btrfssubvolume_id"] for each in listed(appliance)}
    appliance.call("umount_all")


def listed(appliance: Appliance) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = appliance.call("btrfs_subvolume_list", "/")
    return found


def found(appliance: Appliance, *, wanted: str = "", arguments: str = "") -> Mounts:
    appliance.root, appliance.arguments = wanted, arguments
    mounts = mount_guest(appliance)
    appliance.call("umount_all")
    return mounts


def test_roots_are_found_in_subvolumes(tmp_path: Path) -> None:
    image = partitioned(tmp_path / "disk.raw", "2048,160M,83\n,,83\n")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        root_of_debian(appliance)
        copies_beside_at(appliance)
        snapshots_of_snapper(appliance)
        menu_of_a_boot_partition(appliance)


def root_of_debian(appliance: Appliance) -> None:
    with empty(appliance, "@rootfs", "home") as numbers:
        home = f"/dev/xvda1 /home btrfs subvolid={numbers['home']} 0 0"
        root(appliance, "/@rootfs", "subvol=@rootfs", home)

    mounts = mount_guest(appliance)
    assert mounts.root.subvolume == "subvol=@rootfs"
    assert mounts.holding("/home/x")[1].subvolume == f"subvolid={numbers['home']}"
    assert appliance.is_file("/etc/fstab")
    assert not appliance.exists("/home/home")  # not the top, where a number is not understood
    appliance.call("umount_all")
    area = guest.inspect(appliance).boot_area
    assert (area.filesystem, area.device) == ("btrfs", "")
    appliance.call("umount_all")

    appliance.call("mount", "/dev/vda1", "/")
    appliance.call("btrfs_subvolume_set_default", numbers["@rootfs"], "/")
    appliance.call("umount_all")
    mounts = found(appliance)
    assert (mounts.root.subvolume, mounts.other_roots) == ("default", ())


def copies_beside_at(appliance: Appliance) -> None:
    """Ubuntu's root, what was there before it became a subvolume, and a snapshot of it."""
    menu = ENTRY.format("@", "rootflags=subvol=@")
    with empty(appliance, "@", "@before-upgrade", "timeshift-btrfs/snapshots/1/@"):
        root(appliance, "", "defaults", menu=ENTRY.format("", ""))
        for folder in ("/@", "/@before-upgrade", "/timeshift-btrfs/snapshots/1/@"):
            root(appliance, folder, "defaults,subvol=/@", menu=menu)

    mounts = found(appliance)
    assert (mounts.root.subvolume, mounts.subvolume) == ("subvol=@", "@")
    assert mounts.other_roots == ("btrfsvol:/dev/xvda1/",)

    assert found(appliance, wanted="btrfsvol:/dev/xvda1/").subvolume == ""
    snapshot = "timeshift-btrfs/snapshots/1/@"
    assert found(appliance, wanted=f"btrfsvol:/dev/xvda1/{snapshot}").subvolume == snapshot
    told = "root=/dev/xvda1 rootflags=noatime,subvol=@before-upgrade"
    assert found(appliance, arguments=told).subvolume == "@before-upgrade"
    with pytest.raises(InvalidOption, match="other"):
        found(appliance, wanted="btrfsvol:/dev/xvda1/other")


def snapshots_of_snapper(appliance: Appliance) -> None:
    """SUSE's root is the default, whatever its name; those before it stay beside it."""
    active, *others = (f"@/.snapshots/{number}/snapshot" for number in (2, 1, 3))
    with empty(appliance, "@", active, *others) as numbers:
        for path in (active, *others):
            root(appliance, f"/{path}", "defaults", menu=ENTRY.format("", ""))
        appliance.call("btrfs_subvolume_set_default", numbers[active], "/")

    mounts = found(appliance)
    assert (mounts.root.subvolume, mounts.subvolume) == ("default", active)
    assert (mounts.other_roots, mounts.read_only) == ((), False)

    appliance.call("mount", "/dev/vda1", "/")  # of MicroOS, and other systems updated as a whole
    appliance.shell("btrfs property set -ts /sysroot ro true")
    appliance.call("umount_all")
    assert found(appliance).read_only


def menu_of_a_boot_partition(appliance: Appliance) -> None:
    """Two systems: the menu that both have in common tells, and not their own fstab."""
    appliance.call("mkfs", "ext4", "/dev/vda2")
    with empty(appliance, "first", "second") as numbers:
        for name in ("first", "second"):
            root(appliance, f"/{name}", f"subvol={name}", "/dev/xvda2 /boot ext4 defaults 0 0")
    appliance.call("mount", "/dev/vda2", "/")
    flags = f"rootflags=subvolid={numbers['second']}"
    appliance.write("/grub2/grub.cfg", ENTRY.format("second", flags))
    appliance.call("umount_all")

    mounts = found(appliance)
    assert (mounts.subvolume, mounts.other_roots) == ("second", ())

    appliance.call("mount", "/dev/vda2", "/")
    appliance.call("rm_rf", "/grub2")
    appliance.call("umount_all")
    mounts = found(appliance)
    assert (mounts.subvolume, mounts.other_roots) == ("first", ("btrfsvol:/dev/xvda1/second",))
