# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels can use virtio and start without Xen."""

from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest.kernels import installed_kernels
from xen2kvmd.model import Kernel

DRIVERS = ("virtio_pci", "virtio_blk", "virtio_net")
BUILTIN = "".join(f"kernel/drivers/{name}.ko\n" for name in DRIVERS)


@pytest.mark.parametrize(
    ("version", "config", "virtio"),
    [
        ("3.0.101-108-default", "", True),
        ("6.1.0-13-amd64", "CONFIG_XEN=y\nCONFIG_XEN_PVHVM=y\n", True),
        ("2.6.32-5-xen-amd64", "CONFIG_XEN=y\n", True),  # Debian 6: starts anywhere
        ("5.10.0-xen", "CONFIG_XEN=y\n", True),  # a name is not all
        ("2.6.26-2-xen-amd64", "CONFIG_X86_64_XEN=y\n", False),
        ("3.0.101-108-xen", "CONFIG_X86_XEN=y\n", False),
        ("2.6.18-398.el5xen", "", False),
        ("4.9.0-xenU", "", False),
    ],
)
def test_kernel_that_starts_under_xen_only_cannot_be_used(
    version: str, config: str, tmp_path: Path, *, virtio: bool
) -> None:
    modules = tmp_path / "lib/modules" / version
    modules.mkdir(parents=True)
    (modules / "modules.builtin").write_text(BUILTIN)
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / f"vmlinuz-{version}").touch()
    if config:
        (boot / f"config-{version}").write_text(config)

    (kernel,) = installed_kernels(Folder(tmp_path))

    assert kernel.virtio is virtio


def made(root: Path, *paths: str, version: str) -> Folder:
    """Make a guest with these files, and modules of a version."""
    modules = root / "lib/modules" / version
    modules.mkdir(parents=True)
    (modules / "modules.builtin").write_text(BUILTIN)
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return Folder(root)


ENTRY = "title Linux\nversion {version}\noptions root=/dev/xvda2\nlinux {linux}\ninitrd\t{initrd}\n"


@pytest.mark.parametrize(
    ("version", "folder"),
    [("6.8.1-1-default", "opensuse-tumbleweed"), ("6.9.0", "3f1e7a0a6c8f4d1a")],
)
def test_kernel_and_initrd_on_the_esp_are_named_by_the_entry(
    version: str, folder: str, tmp_path: Path
) -> None:
    linux, initrd = (f"/{folder}/{version}/{name}" for name in ("linux-4711", "initrd-0815"))
    guest = made(
        tmp_path,
        *(f"boot/efi{path}" for path in (linux, initrd)),
        f"boot/vmlinuz-{version}",
        version=version,
    )
    guest.write(
        f"/boot/efi/loader/entries/{folder}-{version}-1.conf",
        ENTRY.format(version=version, linux=linux, initrd=initrd),
    )
    assert list(installed_kernels(guest)) == [
        Kernel(version, f"/boot/efi{linux}", f"/boot/efi{initrd}")
    ]


@pytest.mark.parametrize(
    ("image", "initrd", "version"),
    [
        ("boot/vmlinuz-lts", "boot/initramfs-lts", "6.6.41-0-lts"),
        ("boot/vmlinuz-linux", "boot/initramfs-linux.img", "6.9.7-arch1-1"),
        ("boot/kernel-genkernel", "boot/initramfs-6.6.30-gentoo.img", "6.6.30-gentoo"),
        ("boot/kernel-6.6.30-gentoo", "boot/initramfs-6.6.30-gentoo.img", "6.6.30-gentoo"),
        ("boot/vmlinuz", "", "6.1.0"),
    ],
)
def test_kernel_is_known_by_its_header(
    image: str, initrd: str, version: str, tmp_path: Path
) -> None:
    guest = made(tmp_path, *filter(None, (image, initrd)), version=version)
    head = bytearray(0x1000)
    head[0x202:0x206] = b"HdrS"
    head[0x20F] = 8
    head[0xA00 : 0xA01 + len(version)] = version.encode() + b" "
    (tmp_path / image).write_bytes(head)
    assert list(installed_kernels(guest)) == [Kernel(version, f"/{image}", initrd and f"/{initrd}")]
