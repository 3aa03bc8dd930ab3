# SPDX-License-Identifier: GPL-2.0-or-later
"""What version a kernel of the Xen host has."""

from pathlib import Path

import pytest

from xen2kvmd.guest.host_kernel import version_of


def image(folder: Path, said: bytes) -> Path:
    """Write the start of a bzImage whose header says so."""
    head = bytearray(0x1000)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x800).to_bytes(2, "little")
    head[0xA00 : 0xA00 + len(said)] = said
    (folder / "image").write_bytes(head)
    return folder / "image"


def test_header_tells_the_version_whatever_the_name(tmp_path: Path) -> None:
    said = b"6.1.0-28-amd64 (debian-kernel@lists.debian.org) #1 SMP\0"
    assert version_of(image(tmp_path, said), "/boot/vmlinuz-5.10") == "6.1.0-28-amd64"


def test_kernel_of_this_machine_is_known_by_its_header() -> None:
    for path in Path("/boot").glob("vmlinuz-*"):
        assert version_of(path, "kernel") == path.name.removeprefix("vmlinuz-")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("/boot/vmlinuz-2.6.26-2-xen-amd64", "2.6.26-2-xen-amd64"),
        ("/xen/vmlinux-3.0.101-108.114-xen", "3.0.101-108.114-xen"),
        ("/boot/vmlinuz", ""),
        ("/boot/kernel", ""),
    ],
)
def test_kernel_without_header_is_known_by_its_name(
    tmp_path: Path, name: str, version: str
) -> None:
    (tmp_path / "image").write_bytes(b"\x1f\x8b" + bytes(100))
    assert version_of(tmp_path / "image", name) == version


@pytest.mark.parametrize(
    "said", [b"../../etc\0", b"..\0", b"a\nb\0", b"\xff\xfe\0", b"\0", b"x" * 500]
)
def test_header_with_nonsense_gives_no_version(tmp_path: Path, said: bytes) -> None:
    assert version_of(image(tmp_path, said), "/boot/vmlinuz-6.1") == ""
