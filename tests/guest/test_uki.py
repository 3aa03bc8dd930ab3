# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified kernel images are read, whatever a guest puts into them, and their kernels are found."""

from pathlib import Path

import pytest

from tests.guest.folder import Folder
from tests.guest.unified import program, written
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


UNIFIED = Kernel(VERSION, f"/{PLACE}/linux.efi", f"/{PLACE}/linux.efi")
IN_BOOT = Kernel(VERSION, f"/boot/vmlinuz-{VERSION}", f"/boot/initramfs-{VERSION}.img")
HOOK = "/etc/initramfs/post-update.d/systemd-boot"
OFF = "/etc/initramfs-tools/update-initramfs.conf"
MENU = "menuentry 'a' {\n linux /vmlinuz\n}\n"


def with_image(root: Path) -> Folder:
    """Return a guest with a unified image on its EFI system partition."""
    guest = Folder(root)
    names = ("virtio_pci", "virtio_blk", "virtio_net")
    builtin = "".join(f"kernel/{name}.ko\n" for name in names)
    guest.write(f"/lib/modules/{VERSION}/modules.builtin", builtin)
    written(root, f"{PLACE}/linux.efi", program(uname=VERSION, linux="kernel"))
    return guest


def test_kernel_of_an_image_alone_is_a_kernel_with_its_initrd(tmp_path: Path) -> None:
    assert list(installed_kernels(with_image(tmp_path))) == [UNIFIED]


@pytest.mark.parametrize(
    ("files", "kernel"),
    [
        ({}, UNIFIED),  # Arch with a preset for an image: its /boot is from before
        ({"/boot/grub/grub.cfg": MENU}, IN_BOOT),
        ({"/etc/kernel/install.conf": "layout=uki\n", HOOK: ""}, IN_BOOT),
        (
            {"/etc/kernel/install.conf": "layout=uki\n", HOOK: "", OFF: "update_initramfs=no"},
            UNIFIED,
        ),
    ],
)
def test_kernel_in_boot_is_what_starts_or_what_an_image_is_made_of(
    files: dict[str, str], kernel: Kernel, tmp_path: Path
) -> None:
    guest = with_image(tmp_path)
    for path, text in ({IN_BOOT.image: "", IN_BOOT.initrd: ""} | files).items():
        guest.write(path, text)

    assert list(installed_kernels(guest)) == [kernel]


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
