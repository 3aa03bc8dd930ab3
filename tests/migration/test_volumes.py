# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests without a partition table: their volumes become partitions of one disk that boots."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.migration.conftest import build
from tests.migration.sandbox import Sandbox
from tests.migration.sshd import know_each_other
from tests.migration.test_migration import sha256, shell
from xen2kvmd.guest.host_kernel import version_of

pytestmark = pytest.mark.guest


def test_debian_of_xen_tools_becomes_a_disk_that_boots(sandbox: Sandbox) -> None:
    """Swap and root become partitions; its own kernel starts, and not the Xen host's."""
    guest = build("debian12-xentools")
    names = ("swap.raw", "root.raw", "vmlinuz", "initrd.img")
    before = [sha256(guest / name) for name in names]
    ended = sandbox.run(
        "xen2kvm", "migrate", "--network", "default", f"{guest}/guest.xml", seconds=900
    )
    assert ended.code == 0, ended.err + ended.out
    said = shell(
        sandbox,
        "xentools1",
        "findmnt -rn -o TARGET,SOURCE,OPTIONS /; cat /etc/fstab /proc/cmdline",
        "swapon --show=NAME,SIZE --bytes --noheadings",
        "ip -4 -br address show eth0",
        "systemctl --failed --no-pager",
        "ls /boot/grub/grub.cfg",
    )
    for line in (
        "/ /dev/vda2 rw,noatime",
        "/dev/vda1 none swap sw 0 0",
        "root=/dev/vda2 ro elevator=noop",
        "console=ttyS0",
        "/dev/vda1 67104768",
        "192.168.122.",
        "0 loaded units listed.",
        "/boot/grub/grub.cfg",
    ):
        assert line in said
    assert "xvda" not in said
    assert [sha256(guest / name) for name in names] == before
    assert sandbox.run("virsh", "domblklist", "--details", "xentools1").out.count("disk ") == 1
    assert "<kernel>" not in sandbox.run("virsh", "dumpxml", "xentools1").out


def test_file_system_as_whole_disk_becomes_a_partition(
    sandbox: Sandbox, tiny_xentools: Path, tmp_path: Path
) -> None:
    disks = (tiny_xentools / "guest.xml").read_text()
    swap = disks.index("<disk "), disks.index("</disk>") + len("</disk>")
    text = disks[: swap[0]] + disks[swap[1] :]
    text = text.replace("root.raw", "bare.raw").replace("xvda2", "xvda")
    (tmp_path / "bare.xml").write_text(text)
    ended = sandbox.run(
        "xen2kvm", "migrate", "--network", "default", "--format", "raw", f"{tmp_path}/bare.xml"
    )
    assert ended.code == 0, ended.err + ended.out
    said = shell(sandbox, "tiny3", "cat /proc/mounts /proc/cmdline /etc/fstab")
    assert "/dev/vda1 / ext4 rw" in said
    assert "root=/dev/vda1" in said
    assert "/dev/vda1 / ext4 defaults 0 1" in said


def test_volumes_and_kernel_of_another_host_become_a_disk_that_boots(
    sandbox: Sandbox, sshd: None, tiny_xentools: Path, tmp_path: Path
) -> None:
    """The guest has neither kernel nor menu: the Xen host had both, and has the volumes, too."""
    know_each_other(sandbox)
    names = ("swap.raw", "outside.raw", "vmlinuz-xen", "initrd.img-xen")
    before = [sha256(tiny_xentools / name) for name in names]
    text = (tiny_xentools / "guest.xml").read_text().replace("root.raw", "outside.raw")
    text = text.replace(str(tiny_xentools), "/there").replace("<kernel>/boot", "<kernel>/there")
    (tmp_path / "guest.xml").write_text(text.replace("<initrd>/boot", "<initrd>/there"))
    ended = sandbox.run(
        "xen2kvm", "migrate", "--network", "default",
        "--path-map", f"/there=ssh://root@localhost:2222{tiny_xentools}", f"{tmp_path}/guest.xml",
    )  # fmt: skip
    output = ended.err + ended.out
    assert ended.code == 0, output
    assert "[menu-made]" in output
    report = sandbox.run("xen2kvm", "report", "--json", output.split()[-1]).out
    assert "(copy of /there/vmlinuz-xen of the Xen host" in report
    said = shell(sandbox, "tiny3", "cat /proc/mounts /proc/swaps /proc/cmdline; uname -r; ls /boot")
    assert "/dev/vda2 / ext4 rw" in said
    assert re.search(r"^/dev/vda1\s+partition", said, re.MULTILINE)
    assert "root=/dev/vda2 ro console=ttyS0" in said
    document = sandbox.run("virsh", "dumpxml", "tiny3").out
    assert "<kernel>" not in document
    assert [sha256(tiny_xentools / name) for name in names] == before


def test_kernel_of_another_host_starts_the_guest_directly(
    sandbox: Sandbox, sshd: None, tiny_xentools: Path, tmp_path: Path
) -> None:
    """Nothing is made bootable; kernel and initrd lie beside the disk, and go with it."""
    know_each_other(sandbox)
    text = (tiny_xentools / "guest.xml").read_text().replace("root.raw", "outside.raw")
    text = text.replace(str(tiny_xentools), "/there").replace("<kernel>/boot", "<kernel>/there")
    (tmp_path / "guest.xml").write_text(text.replace("<initrd>/boot", "<initrd>/there"))
    options = ("--network", "default", "--direct-kernel-boot")
    there = ("--path-map", f"/there=ssh://root@localhost:2222{tiny_xentools}")
    plan = sandbox.run("xen2kvm", "plan", *options, *there, f"{tmp_path}/guest.xml")
    assert plan.code == 0, plan.err + plan.out
    assert re.search(r"kernel +[0-9.]+ MiB  /there/vmlinuz-xen", plan.out), plan.out
    ended = sandbox.run("xen2kvm", "migrate", *options, *there, f"{tmp_path}/guest.xml")
    output = ended.err + ended.out
    assert ended.code == 0, output
    assert "[direct-kernel-boot]" in output
    said = shell(sandbox, "tiny3", "cat /proc/mounts /proc/swaps /proc/cmdline; uname -r; ls /boot")
    assert "/dev/vda2 / ext4 rw" in said
    assert re.search(r"^/dev/vda1\s+partition", said, re.MULTILINE)
    assert "root=/dev/vda2 ro console=tty0 console=ttyS0" in said
    assert "vmlinuz" not in said
    images = sandbox.run("virsh", "vol-list", "default").out
    assert {"tiny3-kernel.img", "tiny3-initrd.img"} < set(images.split())
    rolled = sandbox.run("xen2kvm", "rollback", "--remove-target", output.split()[-1])
    assert rolled.code == 0, rolled.err + rolled.out
    assert "tiny3" not in sandbox.run("virsh", "vol-list", "default").out


def test_missing_kernel_of_the_host_is_told_and_stops_the_migration(
    sandbox: Sandbox, tiny_xentools: Path, tmp_path: Path
) -> None:
    text = (tiny_xentools / "guest.xml").read_text().replace("root.raw", "outside.raw")
    (tmp_path / "guest.xml").write_text(text)
    ended = sandbox.run("xen2kvm", "plan", "--network", "default", f"{tmp_path}/guest.xml")
    assert "/boot/vmlinuz-xen, cannot be read" in ended.err + ended.out
    assert "[no-kernel]" in ended.err + ended.out
    direct = ("--direct-kernel-boot", f"{tmp_path}/guest.xml")
    ended = sandbox.run("xen2kvm", "plan", "--network", "default", *direct)
    assert ended.code != 0
    assert "/boot/vmlinuz-xen cannot be read: " in ended.err + ended.out


def test_initrd_that_the_guest_has_stays(
    sandbox: Sandbox, tiny_xentools: Path, tmp_path: Path
) -> None:
    """It is the guest's own that knows its root, where the kernel alone was the Xen host's."""
    image = tmp_path / "outside.raw"
    shutil.copy(tiny_xentools / "outside.raw", image)
    version = version_of(tiny_xentools / "vmlinuz-xen", "")
    add = f"write {tiny_xentools}/initrd.img-xen /boot/initrd.img-{version}"
    subprocess.run(["debugfs", "-w", "-R", add, image], check=True, capture_output=True)
    text = (
        (tiny_xentools / "guest.xml").read_text().replace(f"{tiny_xentools}/root.raw", str(image))
    )
    for name in ("vmlinuz-xen", "initrd.img-xen"):
        text = text.replace(f"/boot/{name}", f"{tiny_xentools}/{name}")
    (tmp_path / "guest.xml").write_text(text)
    plan = sandbox.run("xen2kvm", "plan", "--network", "default", f"{tmp_path}/guest.xml")
    assert plan.code == 0, plan.err + plan.out
    assert re.search(r"partition 1 +32\.0 MiB: volume xvda1, \S+/swap.raw", plan.out), plan.out
    assert "[volumes-joined]" in plan.out
    assert f"(copy of {tiny_xentools}/vmlinuz-xen of the Xen host)" in plan.out
    assert "initrd.img-xen of the Xen host)" not in plan.out
