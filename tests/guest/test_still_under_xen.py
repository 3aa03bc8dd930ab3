# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan says whether the converted guest would still start under Xen, and why not."""

import pytest

from xen2kvmd.guest import still_under_xen
from xen2kvmd.model import Case, Change, Finding, Joined, Severity

CASE = Case(devices=(("xvda", "vda"), ("xvde", "sdb")))
CHANGED = Finding("default-kernel-changed", "The menu starts another.", Severity.INFO)


def change(rule: str, place: str, line: str) -> Change:
    diff = f"--- {place}\n+++ {place}\n@@ -1 +1 @@\n-/dev/xvda1 xenblk\n+{line}\n"
    return Change(rule=rule, summary="s", guide="", place=place, diff=diff)


@pytest.mark.parametrize(
    ("rule", "place", "line", "found"),
    [
        ("fstab", "/etc/fstab", "/dev/vda1 / ext4", "not-under-xen"),
        ("boot_menu", "/boot/grub2/grub.cfg", "linux /vmlinuz root=/dev/sdb2", "not-under-xen"),
        ("fstab", "/etc/fstab", "UUID=4711 / ext4 # was /dev/xvda1", "still-under-xen"),
        ("fstab", "/etc/fstab", "/dev/vdax / ext4", "still-under-xen"),
        ("device_map", "/boot/grub/device.map", "(hd0) /dev/vda", "still-under-xen"),
        ("grub_menu", "/boot/grub/grub.cfg", "legacy_configfile", "not-under-xen"),
        ("grub_menu", "/boot/grub/menu.lst", "root (hd0,0)", "still-under-xen"),
        ("suse_initrd_modules", "/etc/sysconfig/kernel", "virtio_blk", "not-under-xen"),
    ],
)
def test_what_is_changed_decides(rule: str, place: str, line: str, found: str) -> None:
    finding = still_under_xen([change(rule, place, line)], [], CASE)
    assert finding.id == found
    assert (place in finding.message) == (found == "not-under-xen")


def test_other_reasons_are_told() -> None:
    assert "another kernel starts" in still_under_xen([], [CHANGED], CASE).message
    menu = change("grub_menu", "/boot/grub/grub.cfg", "menuentry")
    assert still_under_xen([menu], [], Case(kernel_on_host=True)).id == "still-under-xen"
    joined = Case(joined=(Joined("xvda1", "xvda", 1),))
    assert "partitions of one disk" in still_under_xen([], [], joined).message
