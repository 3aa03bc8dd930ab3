# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a hostile guest made long cost seconds, not hours: no pattern goes back and forth."""

import time
from pathlib import Path

import pytest

from xen2kvmd.guest import RULES
from xen2kvmd.guest.convert import attempt
from xen2kvmd.guest.folder import Folder
from xen2kvmd.guest.rehearsal import Rehearsal
from xen2kvmd.model import Case, Nic

LONG = 200_000
CASE = Case(
    devices=(("xvda", "vda"),), nics=(Nic("00:16:3e:2a:00:01", "bridge", "xenbr0"),), kind="linux"
)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/network/interfaces", "\n" * LONG),
        ("etc/netplan/a.yaml", "\n" * LONG + " " * LONG),
        ("etc/default/grub", "GRUB_CMDLINE_LINUX=" + " " * LONG + "x"),
        ("etc/default/grub", 'GRUB_CMDLINE_LINUX="' + "\\a" * LONG),
        ("boot/grub/menu.lst", "kernel " + " " * LONG + "\nroot " + " " * LONG),
        ("etc/fstab", "/dev/xvda1 " * 20_000),
        ("etc/sysconfig/network-scripts/ifcfg-eth0", "\n" * LONG),
        ("etc/systemd/network/a.network", " \n" * LONG),
        ("etc/dracut.conf", "\n" * LONG),
        ("etc/lvm/lvm.conf", "filter = [" + " " * LONG),
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
