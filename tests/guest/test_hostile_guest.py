# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest made to hurt whoever reads it ends in findings or a clean failure, never in a hang."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.built import overlay
from tests.guest.folder import Folder
from xen2kvmd import guest
from xen2kvmd.errors import Failed, Unsupported
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.model import Case, Nic

LDCONFIG = Path("/sbin/ldconfig")  # linked statically, so it runs in a guest without libraries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="device files are made by root"),
]

FILES = {
    "boot/vmlinuz-6.1.0-9-amd64": "",
    "lib/modules/6.1.0-9-amd64/modules.dep": "",
    "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
    "etc/hostname": "evil\x1b[2J\nname\n",
    "etc/fstab": "/dev/xvda1 / ext4 defaults 0 1\n/dev/xvda1 /../../x ext4 defaults 0 0\n/dev/xvdb",
    "etc/os-release": 'ID="unclosed\nPRETTY_NAME=Evil Linux\nID_LIKE=debian\n',
    "etc/default/grub.d/a\nb.cfg": 'GRUB_CMDLINE_LINUX="root=/dev/xvda1"\n',
    "etc/initramfs-tools/conf.d/\x1b[31mred": "RESUME=/dev/xvda1\x1b[2J\n",
    "etc/udev/rules.d/70-persistent-net.rules": (
        'ATTR{address}=="00:16:3e:2a:00:01", NAME="../../x"\n'
    ),
    "etc/other": "a:1:\x1b[2Jé /dev/xvda\n/etc/x:3:/dev/xvdb\n" + "x" * 9000 + "/dev/xvda\n",
    "etc/a:1:b": "/dev/xvda\n",
    "lib/systemd/systemd-udevd": "",
    "secret": "root=/dev/xvda1 console=hvc0\n",
}


def hostile_tree(root: Path) -> None:
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "sbin").mkdir()
    shutil.copy(LDCONFIG, root / "sbin/ldconfig")
    os.mkfifo(root / "etc/crypttab")
    os.mknod(root / "etc/securetty", 0o020666, os.makedev(1, 5))  # /dev/zero
    (root / "etc/inittab").symlink_to("inittab")
    (root / "etc/default/grub").symlink_to("../../../../../../../../secret")
    (root / "boot/grub").mkdir(parents=True)
    with (root / "boot/grub/grub.cfg").open("wb") as file:
        file.truncate(1 << 40)
    (root / "etc/binary").write_bytes(b"/dev/xvda\n\0")
    (root / "etc/leads-out").symlink_to("../../../../../../../../init")
    (root / "etc/lvm").mkdir()
    (root / "etc/lvm/lvm.conf").mkdir()


def fill(appliance: Appliance) -> None:
    for number in range(100):
        appliance.write(f"/fill/{number}", "x" * (1 << 20))


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    tree, disk = tmp_path / "tree", tmp_path / "disk.raw"
    hostile_tree(tree)
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["sfdisk", "-q", disk], input=b"2048,,83\n", check=True)
    offset = "offset=1048576"
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-E", offset, "-d", tree, disk, "63M"], check=True
    )
    image = DiskImage("xvda", str(overlay(disk, tmp_path)), "qcow2")
    with Appliance.open([image], writable=True, emulate=True) as opened:
        yield opened


def test_hostile_guest_is_found_out_and_not_obeyed(appliance: Appliance, tmp_path: Path) -> None:
    facts = guest.inspect(appliance)
    found = appliance.search("/etc", ("/dev/xvd", "hvc0"))
    assert found == Folder(tmp_path / "tree").search("/etc", ("/dev/xvd", "hvc0"))
    assert {one.path for one in found} == {"/etc/fstab", "/etc/other"}
    assert facts.hostname == r"evil\x1b[2J"
    case = Case(
        facts=facts,
        nics=(Nic("00:16:3e:2a:00:01", "bridge", "xenbr0"),),
        devices=(("xvda", "vda"),),
    )
    rehearsed = guest.rehearse(appliance, case)
    shown = "".join(f"{part.place}{part.diff}" for part in rehearsed.changes) + "".join(
        f"{found.place}{found.message}" for found in rehearsed.findings
    )
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)
    unread = [found.message for found in rehearsed.findings if found.id == "file-not-readable"]
    for path in ("/etc/crypttab", "/boot/grub/grub.cfg"):
        assert any(path in message for message in unread), unread
    assert not any(".." in change.place for change in rehearsed.changes)
    assert any(found.place == "/etc/fstab:3" for found in rehearsed.findings)

    guest.apply(appliance, rehearsed.operations)
    assert "/dev/vda1 / ext4" in appliance.read("/etc/fstab")
    with pytest.raises(Unsupported, match="too large"):
        appliance.read("/boot/grub/grub.cfg")
    with pytest.raises(Unsupported, match="not a regular file"):
        appliance.write("/etc/securetty", "ttyS0\n")

    # A full file system is an error with its reason, not half a file that nobody heard of.
    with pytest.raises(Failed, match="No space left"):
        fill(appliance)

    # Last, because it costs the appliance its life: a program that waits for a fifo.
    with pytest.raises(Failed, match="not done after 3 seconds"):
        appliance.output("/sbin/ldconfig", "-f", "/etc/crypttab", seconds=3)
    with pytest.raises(Failed, match="not done after 3 seconds"):
        appliance.read("/etc/fstab")
