# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever fstab calls a file system, it is mounted: names of installers, udev's links, tags."""

from pathlib import Path

import pytest

from tests.guest.built import partitioned
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.mount import mount_guest

pytestmark = pytest.mark.slow

TABLE = """label: gpt
size=32MiB, uuid=11111111-2222-3333-4444-55555555AAAA, name="boot part"
size=32MiB, name="var log"
size=64MiB
-
"""
# Ubuntu's installer names volumes by dm-uuid-LVM, partitions by by-uuid (curtin, block_meta.py).
FSTAB = """\
/dev/disk/by-id/dm-uuid-LVM-{lvm} / ext4 defaults 0 1
/dev/disk/by-uuid/{usr} /usr ext4 defaults 0 1
PARTUUID=11111111-2222-3333-4444-55555555aaaa /boot ext4 defaults 0 1
PARTLABEL=var\\040log /var/log ext4 defaults 0 1
/dev/disk/by-label/home\\x20of\\x20all /home ext4 defaults 0 1
/dev/disk/by-uuid/00000000-0000-0000-0000-000000000000 /opt ext4 defaults 0 1
LABEL=home\\040of\\040all /export ext4 defaults 0 1
/dev/xvdz1 /srv ext4 nofail 0 1
nas1:/exports/www /var/www nfs defaults 0 0
/dev/cdrom /opt/cd iso9660 noauto 0 0
tmpfs /var/tmp tmpfs defaults 0 0
"""


def test_every_name_that_udev_knows(tmp_path: Path) -> None:
    image = partitioned(tmp_path / "disk.raw", TABLE)
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("pvcreate", "/dev/vda4")
        appliance.call("vgcreate", "ubuntu-vg", ["/dev/vda4"])
        appliance.call("lvcreate", "ubuntu-lv", "ubuntu-vg", 64)
        root = "/dev/ubuntu-vg/ubuntu-lv"
        for device in (root, "/dev/vda1", "/dev/vda2", "/dev/vda3"):
            appliance.call("mkfs", "ext4", device)
        appliance.call("lvcreate", "home", "ubuntu-vg", 16)
        appliance.call("mkfs", "ext4", "/dev/ubuntu-vg/home", label="home of all")
        appliance.call("lvcreate", "later", "ubuntu-vg", 16)  # as a snapshot is: alike
        appliance.call("copy_device_to_device", "/dev/ubuntu-vg/home", "/dev/ubuntu-vg/later")
        text = FSTAB.format(
            lvm=(appliance.call("vguuid", "ubuntu-vg") + appliance.call("lvuuid", root)).replace(
                "-", ""
            ),
            usr=appliance.call("vfs_uuid", "/dev/vda3"),
        )
        appliance.call("mount", root, "/")
        for folder in ("etc", "usr", "boot", "var/log", "home", "export", "opt", "srv"):
            appliance.call("mkdir_p", f"/{folder}")
        appliance.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        appliance.write("/etc/fstab", text)
        appliance.call("umount_all")

        mounts = mount_guest(appliance)
        assert {path: system.device for path, system in mounts.by_path} == {
            "/": root,
            "/boot": "/dev/vda1",
            "/export": "/dev/ubuntu-vg/home",
            "/home": "/dev/ubuntu-vg/home",
            "/usr": "/dev/vda3",
            "/var/log": "/dev/vda2",
        }
        assert [path for path, _ in mounts.missing] == ["/opt"]
