# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks that are none, on real files and with the real qemu-img."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from xen2kvmd.errors import InvalidDisk, Unsupported
from xen2kvmd.system import blocks
from xen2kvmd.system.disk import (
    data_size,
    examine,
    examine_served,
    make_image,
    make_overlay,
)


def make(path: Path, *options: str) -> None:
    subprocess.run(["qemu-img", "create", "-q", *options, str(path), "8M"], check=True)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def encrypted(path: Path) -> None:
    secret = ["--object", "secret,id=s,data=geheim"]
    # Not LUKS: for that QEMU measures the processor, and gives up where its clock is coarse.
    make(path, *secret, "-f", "qcow2", "-o", "encrypt.format=aes,encrypt.key-secret=s")


def qcow2(path: Path) -> None:
    make(path, "-f", "qcow2")


def text(path: Path) -> None:
    path.write_text("this is no disk\n")


@pytest.mark.parametrize(
    ("making", "image_format", "said"),
    [
        (lambda path: None, "raw", "cannot be found"),
        (lambda path: path.mkdir(), "raw", "is a directory"),
        (fifo, "raw", "neither a file nor a block device"),
        (lambda path: path.touch(), "raw", "is empty"),
        (encrypted, "qcow2", "encrypted qcow2"),
        (qcow2, "raw", "looks like qcow2"),
        (text, "qcow2", "cannot be read as qcow2"),
        (text, "nonsense", "cannot be read as nonsense"),
    ],
)
def test_what_is_no_disk_is_refused(
    tmp_path: Path, making: Callable[[Path], None], image_format: str, said: str
) -> None:
    path = tmp_path / "disk"
    making(path)
    with pytest.raises(InvalidDisk, match=said) as caught:
        examine(str(path), image_format)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_disk_that_its_guest_has_encrypted_is_raw_as_any_other(tmp_path: Path) -> None:
    path, overlay, copy = tmp_path / "disk", tmp_path / "overlay", tmp_path / "copy"
    path.write_bytes(b"LUKS\xba\xbe\0\1" + os.urandom(1 << 20))
    os.truncate(path, 2 << 20)
    assert examine(str(path), "raw").size == 2 << 20
    make_overlay(overlay, base=str(path), base_format="raw")
    make_image(copy, image_format="raw", size=2 << 20, preallocated=False)
    blocks.copy(
        lambda _done, _total: None, source=(str(overlay), "qcow2"), target=(str(copy), "raw")
    )
    assert copy.read_bytes() == path.read_bytes()


def differencing(path: Path) -> None:
    """Let a dynamic VHD say that it has a parent, in both of its footers, with their checksums."""
    make(path, "-f", "vpc")
    data = bytearray(path.read_bytes())
    for at in (0, len(data) - 512):
        data[at + 60 : at + 68] = (4).to_bytes(4, "big") + bytes(4)
        total = sum(data[at : at + 512])
        data[at + 64 : at + 68] = (~total & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)


def test_vhd_that_lacks_what_its_parent_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    differencing(path)
    with pytest.raises(Unsupported, match=f"{path} is a differencing VHD") as caught:
        examine(str(path), "vpc")
    assert "vhd-util coalesce" in caught.value.hint
    with pytest.raises(Unsupported, match="differencing"):
        examine_served(str(path), "vpc", path=str(path), head=path.read_bytes()[:64])


def test_disk_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(1 << 20))
    os.truncate(path, (64 << 20) + 512)
    size = examine(str(path), "raw").size
    assert size == (64 << 20) + 512
    assert 1 << 20 <= data_size(str(path), "raw", size=size) < 2 << 20


def test_data_count_wherever_they_are_and_however_small(tmp_path: Path) -> None:
    """The images take 3 MiB, nothing, and next to nothing."""
    base, overlay, packed = (tmp_path / name for name in ("base", "overlay", "packed"))
    make(base, "-f", "qcow2")
    write = ["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 3M", str(base)]
    subprocess.run(write, check=True, stdout=-3)
    make_overlay(overlay, base=str(base), base_format="qcow2")
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", base, packed], check=True)
    assert [data_size(str(path), "qcow2", size=8 << 20) for path in (base, overlay, packed)] == [
        3 << 20
    ] * 3


def test_overlay_keeps_its_base(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base", tmp_path / "overlay"
    base.write_bytes(os.urandom(1 << 20))
    before = base.read_bytes()
    make_overlay(overlay, base=str(base), base_format="raw")
    subprocess.run(["qemu-io", "-c", "write -P 7 0 64k", str(overlay)], check=True, stdout=-3)
    assert base.read_bytes() == before
    assert examine(str(overlay), "qcow2").backing == str(base)


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_preallocated_image_takes_its_size(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "disk"
    make_image(path, image_format=image_format, size=16 << 20, preallocated=True)
    assert path.stat().st_blocks * 512 >= 16 << 20
