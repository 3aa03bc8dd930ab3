# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a hostile guest made long cost seconds, not hours: no pattern goes back and forth."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest import RULES
from xen2kvmd.guest.initrd_tools import initrd_tool, updates_initrds
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.mkinitcpio import preset
from xen2kvmd.guest.nics import names_by_slot
from xen2kvmd.guest.rehearsal_tree import Rehearsal
from xen2kvmd.guest.rehearse import attempt
from xen2kvmd.guest.serial_login import offer_login
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Facts, Kernel, Nic

LONG = 200_000
KERNEL = Kernel("6.1", "/boot/vmlinuz-6.1", "/boot/initrd.img-6.1", initrd_virtio=False)
CASE = Case(
    devices=(("xvda", "vda"),),
    nics=(Nic("00:16:3e:2a:00:01", "bridge", "xenbr0"),),
    kind="linux",
    facts=Facts(kernels=(KERNEL,), initrd_tool="initramfs-tools"),
)
MENU = "menuentry 'a' {\n linux /vmlinuz-6.0\n}\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/network/interfaces", "\n" * LONG),
        ("etc/netplan/a.yaml", "\n" * LONG + " " * LONG),
        ("etc/default/grub", "GRUB_CMDLINE_LINUX=" + " " * LONG + "x"),
        ("etc/default/grub", 'GRUB_CMDLINE_LINUX="' + "\\a" * LONG),
        ("boot/grub/menu.lst", "kernel " + " " * LONG + "\nroot " + " " * LONG),
        ("etc/fstab", "/dev/xvda1 " * 20_000),
        ("etc/fstab", "/dev/disk/by-path/pci-" + "0:" * LONG + " / ext4"),
        ("etc/sysconfig/network-scripts/ifcfg-eth0", "\n" * LONG),
        ("etc/systemd/network/a.network", " \n" * LONG),
        ("etc/dracut.conf", "\n" * LONG),
        ("etc/lvm/lvm.conf", "filter = [" + " " * LONG),
        ("etc/selinux/config", "\n" * LONG),
        ("etc/modprobe.d/a.conf", "\n" * LONG),
        ("etc/initramfs-tools/update-initramfs.conf", "\n" * LONG),
        ("etc/cloud/cloud.cfg", "network:" + "\n" * LONG),
        ("etc/fstab", "/dev/disk/by-path/xen-vbd-" + "9" * 5000 + " /srv ext4 defaults 0 0\n"),
        ("etc/udev/rules.d/70-persistent-net.rules", 'KERNELS=="vif-' + "9" * 5000 + '"\n'),
        ("etc/udev/rules.d/71-vif.rules", 'DRIVERS=="' + "vi " * LONG),
        ("etc/systemd/network/a.link", "Path=" + "vif-" * LONG),
        ("boot/grub/grub.cfg", f"{MENU}set default=" + " " * LONG + "'x"),
    ],
    ids=lambda value: value[:30].strip() or "blank",
)
def test_no_rule_takes_long(tmp_path: Path, path: str, text: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    udev = tmp_path / "lib/systemd/systemd-udevd"
    udev.parent.mkdir(parents=True)
    udev.touch()
    for rule in RULES:
        begun = time.monotonic()
        attempt(rule, Rehearsal(Folder(tmp_path)), CASE)
        assert time.monotonic() - begun < 5, rule.name


def test_name_of_a_nic_is_never_so_long() -> None:
    assert names_by_slot(frozenset(("ens" + "9" * 5000, "ens3"))) == ("ens3",)


def a_preset(tree: Tree) -> object:
    return preset(tree, "/boot/initramfs-linux.img")


def a_login(tree: Tree) -> object:
    return offer_login(tree, "sysvinit")


@pytest.mark.parametrize(
    ("path", "text", "reader"),
    [
        ("usr/sbin/update-initramfs", "\n" * LONG, initrd_tool),
        ("etc/initramfs-tools/update-initramfs.conf", "\n" * LONG, updates_initrds),
        ("etc/mkinitcpio.d/a.preset", "\n" * LONG, a_preset),
        ("etc/mkinitcpio.d/a.preset", "a=" * LONG, a_preset),
        ("etc/inittab", "#S0::respawn:/a/getty " + " ttyS" * LONG, a_login),
        ("etc/inittab", "#S0::respawn:" + "/gett" * LONG, a_login),
        ("boot/grub/grub.cfg", "\n" * LONG, read_menu),
        ("boot/grub/grub.cfg", "set default=" + " " * LONG + "'x", read_menu),
        ("boot/grub/grub.cfg", ("menuentry " + "'" * 8000 + "\n") * 100, read_menu),
        ("boot/grub/menu.lst", "title a\nkernel " + "xen" * LONG, read_menu),
    ],
    ids=lambda value: getattr(value, "__name__", str(value))[:30].strip() or "blank",
)
def test_nothing_that_is_looked_at_takes_long(
    tmp_path: Path, path: str, text: str, reader: Callable[[Tree], object]
) -> None:
    guest = Folder(tmp_path)
    guest.write(f"/{path}", text)
    begun = time.monotonic()
    reader(guest)
    assert time.monotonic() - begun < 5
