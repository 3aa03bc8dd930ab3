# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that is written on another host: a real sshd on 127.0.0.1, a real qemu-nbd behind it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Far
from xen2kvmd.errors import Failed
from xen2kvmd.system import far_volume
from xen2kvmd.system.disk import make_image
from xen2kvmd.system.opened_disk import opened_for_writing
from xen2kvmd.system.ssh import connected

MIB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for little."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "small", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def write(far: Far, folder: Path, image: Path, *, megabytes: int) -> None:
    with (
        connected(far.address) as host,
        far_volume.opened(host, folder, str(image), "qcow2") as uri,
        opened_for_writing(uri, "raw") as disk,
    ):
        for at in range(megabytes):
            disk.write(bytearray(os.urandom(MIB)), at * MIB)
        disk.flush()


def test_full_disk_there_is_told_by_its_own_name(far: Far, small: Path, tmp_path: Path) -> None:
    image = small / "disk.qcow2"
    make_image(image, image_format="qcow2", size=64 * MIB, preallocated=False)
    with pytest.raises(Failed) as raised:
        write(far, tmp_path, image, megabytes=8)
    assert f"The disk {image} of the host root@127.0.0.1" in raised.value.message
    assert "No space left" in raised.value.message
    assert "socket" not in raised.value.message
