# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified kernel images are read, whatever a guest puts into them, and their kernels are found."""

from pathlib import Path

import pytest

from tests.guest.unified import program, written
from xen2kvmd.guest.folder import Folder
from xen2kvmd.guest.kernels import installed_kernels
from xen2kvmd.guest.uki import Uki, unified_images
from xen2kvmd.model import Kernel

PLACE = "boot/efi/EFI/Linux"
VERSION = "6.17.1-300.fc43.x86_64"


def test_arguments_are_those_of_the_image_and_its_addons(tmp_path: Path) -> None:
    image = program(uname=VERSION, cmdline="ro console=hvc0\n\0", linux="kernel", initrd="initrd")
    written(tmp_path, f"{PLACE}/fedora.efi", image)
    addon = program(cmdline="root=/dev/xvda2")
    written(tmp_path, f"{PLACE}/fedora.efi.extra.d/root.addon.efi", addon)
    written(tmp_path, "boot/efi/EFI/Linux/memtest.efi", program(text="no kernel"))

    (found,) = unified_images(Folder(tmp_path))

    assert found == Uki(f"/{PLACE}/fedora.efi", VERSION, "ro console=hvc0 root=/dev/xvda2")


def test_kernel_of_an_image_alone_is_a_kernel_with_its_initrd(tmp_path: Path) -> None:
    modules = tmp_path / "lib/modules" / VERSION
    modules.mkdir(parents=True)
    names = ("virtio_pci", "virtio_blk", "virtio_net")
    (modules / "modules.builtin").write_text("".join(f"kernel/{name}.ko\n" for name in names))
    written(tmp_path, f"{PLACE}/fedora.efi", program(uname=VERSION, linux="kernel"))

    found = list(installed_kernels(Folder(tmp_path)))

    assert found == [Kernel(VERSION, f"/{PLACE}/fedora.efi", f"/{PLACE}/fedora.efi")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MZ",
        b"MZ".ljust(0x3C, b"\0") + b"\xff\xff\xff\xff",
        program(linux="kernel")[:0x90],
        program(linux="kernel")[: 0x80 + 24 + 0xF0 + 20],
        b"\xff" * 4096,
    ],
)
def test_what_is_no_image_is_none(content: bytes, tmp_path: Path) -> None:
    written(tmp_path, f"{PLACE}/odd.efi", content)

    assert list(unified_images(Folder(tmp_path))) == []
