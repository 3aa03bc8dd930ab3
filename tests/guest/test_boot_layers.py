# SPDX-License-Identifier: GPL-2.0-or-later
"""This host's GRUB finds the menu on a volume, an array, or in a subvolume: it boots to it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guest.built import overlay, partitioned
from tests.guest.machine import booted
from xen2kvmd import guest
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.boot_code import bios_boot_code
from xen2kvmd.model import Case

pytestmark = pytest.mark.guest

Make = Callable[[Appliance], str]
MENU = """\
serial --unit=0
terminal_output serial
echo menu of {0} found
menuentry 'Linux' {{
 linux {1}/boot/vmlinuz root=/dev/vda1
}}
"""


def volume(appliance: Appliance) -> str:
    appliance.call("vgcreate", "xen-vg", ["/dev/vda1"])
    appliance.call("lvcreate", "root", "xen-vg", 128)
    return "/dev/xen-vg/root"


def array(appliance: Appliance) -> str:
    devices = ["/dev/vda1"]
    appliance.call("md_create", "/dev/md0", devices, level="raid1", nrdevices=2, missingbitmap=2)
    return str(appliance.call("list_md_devices")[0])


def subvolume(appliance: Appliance) -> str:
    return "/dev/vda1"


@pytest.mark.parametrize(
    ("make", "kind", "top", "device"),
    [
        (volume, "ext4", "", "(lvm/xen--vg-root)"),
        (array, "ext4", "", "(mduuid/"),
        (subvolume, "btrfs", "/@rootfs", "(,msdos1)"),
    ],
    ids=["lvm", "md", "btrfs"],
)
def test_menu_is_found(tmp_path: Path, make: Make, kind: str, top: str, device: str) -> None:
    image = partitioned(tmp_path / "disk.raw", "2048,,83\n")
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        on = make(appliance)
        appliance.call("mkfs", kind, on)
        appliance.call("mount", on, "/")
        if top:
            appliance.call("btrfs_subvolume_create", top)
        appliance.call("mkdir_p", f"{top}/etc")
        appliance.write(f"{top}/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        appliance.write(f"{top}/etc/fstab", f"{on} / {kind} defaults 0 1\n")
        appliance.write(f"{top}/boot/grub/grub.cfg", MENU.format(make.__name__, top))
        appliance.call("umount_all")

        facts = guest.inspect(appliance)
        assert facts.boot_area.device.startswith(device)
        assert facts.boot_area.prefix == f"{top}/boot/grub"
        case = Case(facts=facts, devices=(("xvda", "vda"),))
        assert bios_boot_code(appliance, case) == ()
    disk = overlay(Path(image.path), tmp_path)
    with booted(tmp_path, disk, mac="52:54:00:12:34:56") as console:
        console.expect(f"menu of {make.__name__} found", seconds=120)
