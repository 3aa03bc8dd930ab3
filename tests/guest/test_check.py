# SPDX-License-Identifier: GPL-2.0-or-later
"""What the converted guest's menu says of Xen's devices."""

from pathlib import Path
from typing import cast

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.check import check, check_menu
from xen2kvmd.model import Case, Facts, Kernel

ENTRY = "menuentry 'Linux {0}' {{\n linux /vmlinuz-{0} {1}\n}}\n"
BOTH = ["default-root-names-xen", "menu-names-xen"]


@pytest.mark.parametrize(
    ("default", "found"),
    [
        ("root=/dev/xvda2 ro", BOTH),
        ("root=UUID=4711 console=hvc0", ["menu-names-xen"]),
        ("root=/dev/vda2 resume=/dev/xvda1", ["menu-names-xen"]),
        ("root=/dev/vda2 ro", []),
    ],
)
def test_root_of_the_default_entry_decides(tmp_path: Path, default: str, found: list[str]) -> None:
    guest = Folder(tmp_path)
    guest.write("/boot/grub2/grub.cfg", ENTRY.format(1, default))
    assert [one.id for one in check_menu(guest, Case())] == found


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ("/dev/hdc1", ["default-root-names-xen"]),
        ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM00007-part1", ["default-root-names-xen"]),
        ("/dev/disk/by-path/pci-0000:00:05.0-scsi-0:0:0:0-part1", ["default-root-names-xen"]),
        ("/dev/vda1", []),
        ("/dev/sda1", []),
        ("/dev/mapper/vg0-root", []),
        ("/dev/disk/by-uuid/4711", []),
        ("UUID=4711", []),
    ],
)
def test_root_on_an_emulated_disk_that_is_gone_decides(
    tmp_path: Path, root: str, found: list[str]
) -> None:
    guest = Folder(tmp_path)
    guest.write("/boot/grub2/grub.cfg", ENTRY.format(1, f"root={root} ro"))
    case = Case(kind="hvm", devices=(("hda", "vda"), ("hdb", "sda")))
    assert [one.id for one in check_menu(guest, case)] == found


def test_root_of_another_entry_is_a_warning(tmp_path: Path) -> None:
    guest = Folder(tmp_path)
    text = ENTRY.format(1, "root=/dev/vda2") + 2 * ENTRY.format(2, "root=/dev/xvda2")
    guest.write("/boot/grub2/grub.cfg", text)
    (found,) = check_menu(guest, Case())
    assert (found.id, found.place) == ("menu-names-xen", "/boot/grub2/grub.cfg:5")
    assert "lines 5, 8" in found.message


def test_guest_on_emulated_disks_needs_no_virtio(tmp_path: Path) -> None:
    old = Kernel("2.6.18-92.el5", "/boot/vmlinuz-2.6.18-92.el5", virtio=False)
    guest = cast(Appliance, Folder(tmp_path))
    assert check(guest, Case(facts=Facts(kernels=(old,)))) == ()
