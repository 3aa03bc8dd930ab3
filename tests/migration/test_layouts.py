# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of all layouts come up with their mounts, their swap and their network."""

import pytest

from tests.migration.conftest import build
from tests.migration.sandbox import Sandbox
from tests.migration.test_migration import sha256, shell

pytestmark = pytest.mark.guest


def migrated(sandbox: Sandbox, guest: str, name: str, *commands: str) -> str:
    """Migrate a guest by the whole program; return what commands in it print."""
    folder = build(guest)
    before = [sha256(path) for path in sorted(folder.glob("*.raw"))]
    ended = sandbox.run(
        *("xen2kvm", "migrate", "--network", "default", f"{folder}/guest.xml"), seconds=900
    )
    assert ended.code == 0, ended.err + ended.out
    said = shell(sandbox, name, *commands)
    assert [sha256(path) for path in sorted(folder.glob("*.raw"))] == before
    return said


def test_volume_group_on_two_disks_with_boot_apart(sandbox: Sandbox) -> None:
    """The second disk is xvde under Xen and vdb under KVM; LVM's filter knew xvd only."""
    said = migrated(
        sandbox,
        "debian12-lvm",
        "lvm1",
        "findmnt -rn -o TARGET,SOURCE",
        "cat /srv/data/file /home/file",
        "swapon --show=SIZE --bytes --noheadings",
        "ip -4 -br address show eth0",
        "systemctl --failed --no-pager",
    )
    for line in (
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


def test_uefi_guest_gains_a_loader_that_needs_no_boot_entry(sandbox: Sandbox) -> None:
    said = migrated(
        sandbox, "tiny-uefi", "uefi1", "ls -d /sys/firmware/efi", "cat /proc/mounts /proc/cmdline"
    )
    assert "/sys/firmware/efi" in said.splitlines()
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
    assert "/.autorelabel" in said.splitlines()
