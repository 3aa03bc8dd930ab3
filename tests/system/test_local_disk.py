# SPDX-License-Identifier: GPL-2.0-or-later
"""Block devices of this host: real loop devices, which somebody else writes to."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.loop import loop_device
from xen2kvmd.errors import InvalidDisk, VmRunning
from xen2kvmd.system import blocks
from xen2kvmd.system.block_disk import CACHE
from xen2kvmd.system.disk import make_image
from xen2kvmd.system.local_disk import opened
from xen2kvmd.system.measure import BLOCK
from xen2kvmd.system.remotes import Remotes

SIZE = (CACHE + 4) * BLOCK + 4096


def ignore(_done: int, _total: int) -> None:
    """Take progress and do nothing."""


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A device with a file system on it, which nobody has mounted."""
    path = tmp_path / "device"
    path.write_bytes(bytes(SIZE))
    subprocess.run(["mkfs.ext4", "-q", str(path)], check=True)
    with loop_device(path) as device:
        yield device


def write_by_mount(device: str, folder: Path) -> None:
    """Write as a guest does: the device node's time and size stay what they were."""
    folder.mkdir()
    before = os.stat(device)
    subprocess.run(["mount", device, str(folder)], check=True)
    (folder / "new").write_bytes(os.urandom(BLOCK))
    subprocess.run(["umount", str(folder)], check=True)
    assert os.stat(device).st_mtime_ns == before.st_mtime_ns


@pytest.fixture
def remotes() -> Iterator[Remotes]:
    opened_here = Remotes(Path(mkdtemp(dir="/run")))
    yield opened_here
    opened_here.close()


def test_copy_is_the_same_and_a_write_is_noticed(
    device: str, remotes: Remotes, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    make_image(copy, image_format="raw", size=SIZE, preallocated=False)
    digest = blocks.copy(ignore, source=(remotes.uri("", device), "raw"), target=(str(copy), "raw"))
    assert digest == blocks.digest(device, "raw", ignore)
    assert copy.read_bytes() == (tmp_path / "device").read_bytes()
    remotes.verify(ignore)
    write_by_mount(device, tmp_path / "mounted")
    with pytest.raises(VmRunning, match=f"{device} was written to while it was read"):
        remotes.verify(ignore)


@pytest.mark.parametrize("live", [True, False])
def test_block_that_is_read_twice_is_the_same_if_no_guest_runs(
    device: str, tmp_path: Path, *, live: bool
) -> None:
    with opened(device, live=live) as disk:
        for number in range(CACHE + 1):  # the first is forgotten then
            disk.read(number * BLOCK, 1)
        with open(device, "r+b") as stream:
            stream.write(b"changed")
        if live:
            assert disk.read(0, 7) == b"changed"
        else:
            with pytest.raises(VmRunning):
                disk.read(0, 7)
            assert isinstance(disk.failure, VmRunning)


def test_file_beside_a_device_is_read_to_its_odd_end(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(os.urandom(BLOCK + 1234))
    with opened(str(path), live=False) as disk:
        assert disk.read(BLOCK - 10, 1244) == path.read_bytes()[-1244:]
        assert disk.stamp() == [path.stat().st_mtime_ns, BLOCK + 1234]
        disk.verify(ignore)


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidDisk, match="no-disk cannot be read"),
        opened(str(tmp_path / "no-disk"), live=False),
    ):
        pass


def test_many_disks_keep_no_more_than_one(remotes: Remotes, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}").write_bytes(bytes(4096))
        remotes.disk("", str(tmp_path / f"{number}"))
    kept = [remotes.disk("", str(tmp_path / f"{number}")).kept for number in range(4)]
    assert kept == [CACHE // 4] * 4
