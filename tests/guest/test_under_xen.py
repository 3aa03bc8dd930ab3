# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan says whether the converted guest would still start under Xen, and why not."""

import pytest

from xen2kvmd.guest import under_xen
from xen2kvmd.model import Change, Finding, Severity

CHANGED = Finding("default-kernel-changed", "The menu starts another.", Severity.INFO)


def change(place: str, line: str) -> Change:
    diff = f"--- {place}\n+++ {place}\n@@ -1 +1 @@\n-/dev/xvda1 / ext4\n+{line}\n"
    return Change(rule="r", summary="s", guide="", place=place, diff=diff)


@pytest.mark.parametrize(
    ("place", "line", "found"),
    [
        ("/etc/fstab", "/dev/vda1 / ext4", "not-under-xen"),
        ("/boot/grub2/grub.cfg", "linux /vmlinuz root=/dev/sda2", "not-under-xen"),
        ("/etc/fstab", "UUID=4711 / ext4 # was /dev/xvda1", "still-under-xen"),
        ("/boot/grub/device.map", "(hd0) /dev/vda", "still-under-xen"),
        ("/etc/securetty", "ttyS0", "still-under-xen"),
    ],
)
def test_names_of_disks_decide(place: str, line: str, found: str) -> None:
    finding = under_xen([change(place, line)], [])
    assert finding.id == found
    assert (place in finding.message) == (found == "not-under-xen")


def test_another_kernel_is_a_reason() -> None:
    assert "another kernel starts" in under_xen([], [CHANGED]).message
    many = [change(f"/etc/{number}", "/dev/vda1") for number in range(5)]
    assert under_xen(many, []).message.count("/etc/") == 3
