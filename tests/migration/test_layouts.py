# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of all layouts come up with their mounts, their swap and their network."""

import re
from pathlib import Path

import pytest

from tests.migration.conftest import build
from tests.migration.sandbox import Sandbox
from tests.migration.test_migration import sha256, shell

pytestmark = pytest.mark.guest


def migrated(sandbox: Sandbox, guest: str, name: str, *commands: str, key: str = "") -> str:
    """Migrate a guest by the whole program; return what commands in it print.

    key is the name of a file in the guest's folder that opens its encrypted disks.
    """
    folder = build(guest)
    before = [sha256(path) for path in sorted(folder.glob("*.raw"))]
    ended = sandbox.run(
        *("xen2kvm", "migrate", "--network", "default", f"{folder}/guest.xml"),
        *(("--key", f"all:file:{folder}/{key}") if key else ()),
        seconds=900,
    )
    assert ended.code == 0, ended.err + ended.out
    said = shell(sandbox, name, *commands)
    assert [sha256(path) for path in sorted(folder.glob("*.raw"))] == before
    return said


def test_volume_group_on_two_disks_with_boot_apart(sandbox: Sandbox) -> None:
    """The second disk is xvde under Xen and vdb under KVM; LVM's filter knew xvd only.

    Its kernel was told of no console, and of what the Xen host adds to its arguments.
    """
    said = migrated(
        sandbox,
        "debian12-lvm",
        "lvm1",
        "findmnt -rn -o TARGET,SOURCE",
        "cat /srv/data/file /home/file",
        "swapon --show=SIZE --bytes --noheadings",
        "ip -4 -br address show eth0",
        "systemctl --failed --no-pager",
        "cat /proc/cmdline",
    )
    for line in (
        "lvm1.told=by-pygrub console=tty0 console=ttyS0",
        "/ /dev/mapper/lvm1--vg-root",
        "/boot /dev/vda1",
        "/home /dev/mapper/lvm1--vg-home",
        "/srv/data /dev/vdb1",
        "from the second disk",
        "from the second physical volume",
        "67104768",
        "0 loaded units listed.",
    ):
        assert line in said
    assert "192.168.122." in said


def test_encrypted_root_and_mirrored_boot_of_32_bits(sandbox: Sandbox) -> None:
    """LVM in LUKS, /boot on a RAID 1; the boot asks for the passphrase, which the job has."""
    said = migrated(
        sandbox,
        "debian12-luks",
        "luks1",
        "uname -m; lsblk -rno NAME,TYPE",
        "findmnt -rn -o TARGET,SOURCE",
        "cat /proc/mdstat /etc/mdadm/mdadm.conf",
        "swapon --show=SIZE --bytes --noheadings",
        "systemctl --failed --no-pager",
        "ip -4 -br address show eth0",
        key="passphrase",
    )
    for line in (
        "i686",
        "vda2 part",
        "xvda2_crypt crypt",
        "/ /dev/mapper/luks1--vg-root",
        "/boot /dev/md0",
        "md0 : active raid1 vd",
        "[2/2] [UU]",
        "DEVICE /dev/vda1 /dev/vdb1",
        "67104768",
        "0 loaded units listed.",
        "192.168.122.",
    ):
        assert line in said
    secrets = sandbox.run("grep", "-rl", "open-sesame", "/var/lib/xen2kvmd", "/run", "/var/log")
    assert secrets.out == ""


def test_uefi_guest_gains_a_loader_that_needs_no_boot_entry(sandbox: Sandbox) -> None:
    said = migrated(
        sandbox,
        "tiny-uefi",
        "uefi1",
        "ls -d /sys/firmware/efi",
        "cat /proc/mounts /proc/swaps /proc/cmdline",
        "ip -4 address show eth0",
    )
    assert "/sys/firmware/efi" in said.splitlines()
    assert re.search(r"^/dev/vda3\s+partition", said, re.MULTILINE)
    assert "inet 192.168.122." in said
    assert "/dev/vda2 / ext4" in said
    assert "root=/dev/vda2" in said


def test_suse_kind_boots_from_its_default_subvolume(sandbox: Sandbox) -> None:
    """dracut, grub2-mkconfig and grub2-install of the guest run on a btrfs of snapper's layout."""
    said = migrated(
        sandbox,
        "debian-as-suse",
        "suse1",
        "findmnt -rn -o TARGET,SOURCE",
        "cat /home/file /proc/cmdline",
        "swapon --show=NAME --noheadings",
        "ip -4 -br address show eth0",
        "systemctl --failed --no-pager",
        "rpm --version",
    )
    for line in (
        "/ /dev/vda2[/@/.snapshots/1/snapshot]",
        "/home /dev/vda2[/@/home]",
        "/var /dev/vda2[/@/var]",
        "in its own subvolume",
        "console=ttyS0",
        "/dev/vda1",
        "192.168.122.",
        "0 loaded units listed.",
    ):
        assert line in said
    assert "xvc0" not in said


def test_red_hat_kind_boots_from_bls_entries_and_xfs(sandbox: Sandbox) -> None:
    said = migrated(
        sandbox,
        "debian-as-redhat",
        "redhat1",
        "findmnt -rn -o TARGET,SOURCE,FSTYPE",
        "ls /.autorelabel; cat /proc/cmdline /boot/grub2/grubenv",
        "swapon --show=NAME --noheadings",
        "ip -4 -br address show eth0",
        "systemctl --failed --no-pager",
    )
    for line in (
        "/ /dev/vda2 xfs",
        "/boot /dev/vda1 vfat",
        "root=/dev/vda2 ro console=ttyS0",
        "kernelopts=root=/dev/vda2 ro console=ttyS0",
        "192.168.122.",
        "0 loaded units listed.",
    ):
        assert line in said
    assert "hvc0" not in said
    assert {"/.autorelabel", "/dev/vda3"} <= set(said.splitlines())


@pytest.mark.parametrize("loader", ["legacy", "extlinux"])
def test_menu_for_another_boot_loader_stays_in_force(
    sandbox: Sandbox, tmp_path: Path, loader: str
) -> None:
    """Pygrub read it; now it is read by a GRUB 2 that came to a disk without boot code."""
    text = (build("tiny-menus") / "guest.xml").read_text()
    (tmp_path / "guest.xml").write_text(text.replace("legacy.raw", f"{loader}.raw"))
    ended = sandbox.run("xen2kvm", "migrate", "--network", "default", f"{tmp_path}/guest.xml")
    assert ended.code == 0, ended.err + ended.out
    assert "[menu-read-by-grub]" in ended.err + ended.out
    assert f"by={loader} console=ttyS0" in shell(sandbox, "tiny5", "cat /proc/cmdline")
