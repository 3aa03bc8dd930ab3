# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of another host: a real sshd on 127.0.0.1, real sh, dd and qemu-nbd behind it."""

import os
import shutil
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.loop import loop_device
from tests.system.conftest import Far
from xen2kvmd.errors import (
    ConnectionFailed,
    Failed,
    HostKeyUnknown,
    InvalidDisk,
    MigrationError,
    SourceAuthFailed,
    Unsupported,
    VmRunning,
)
from xen2kvmd.system import blocks
from xen2kvmd.system.block_disk import CACHE
from xen2kvmd.system.disk import examine_served, make_image
from xen2kvmd.system.measure import BLOCK
from xen2kvmd.system.remote_disk import RUN
from xen2kvmd.system.remote_sizes import sizes
from xen2kvmd.system.remotes import Remotes
from xen2kvmd.system.ssh import connected

SIZE = 40 * BLOCK + 512


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sparse file with data across blocks and at both ends, and a name to be quoted."""
    path = tmp_path / "it's a $(disk)"
    with path.open("wb") as stream:
        stream.truncate(SIZE)
        for offset in (0, 7 * BLOCK - 100, 20 * BLOCK, SIZE - 300):
            stream.seek(offset)
            stream.write(os.urandom(300))
    return path


def ignore(_done: int, _total: int) -> None:
    """Take progress and do nothing."""


def copied(remotes: Remotes, far: Far, source: Path, target: Path) -> str:
    make_image(target, image_format="raw", size=SIZE, preallocated=False)
    return blocks.copy(
        ignore, source=(remotes.uri(far.address, str(source)), "raw"), target=(str(target), "raw")
    )


def test_copy_of_a_remote_file_is_the_same(
    far: Far, remotes: Remotes, source: Path, tmp_path: Path
) -> None:
    before = source.stat()
    digest = copied(remotes, far, source, tmp_path / "copy")
    assert digest == blocks.digest(str(source), "raw", ignore)
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    remotes.verify(ignore)
    disk = remotes.disk(far.address, str(source))
    assert disk.stamp() == [int(before.st_mtime), SIZE]
    assert disk.size.allocated == before.st_blocks * 512
    assert source.stat().st_mtime_ns == before.st_mtime_ns


def test_copy_of_a_remote_block_device_is_the_same(
    far: Far, remotes: Remotes, source: Path, tmp_path: Path
) -> None:
    with loop_device(source, "--read-only") as device:
        copied(remotes, far, Path(device), tmp_path / "copy")
        remotes.verify(ignore)
        assert remotes.disk(far.address, device).stamp() == []
        remotes.close()
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_zeroes_do_not_cross_the_wire(far: Far, remotes: Remotes, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    make_image(empty, image_format="raw", size=SIZE, preallocated=False)
    before = read_by(far)
    digest = blocks.digest(remotes.uri(far.address, str(empty)), "raw", ignore)
    assert digest == blocks.digest(str(empty), "raw", ignore)
    assert read_by(far) - before < SIZE // 200


def read_by(far: Far) -> int:
    """Return how many bytes the server's sessions have received and sent, as they count them."""
    total = 0
    for pid in far.sessions():
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            total += int(line.split()[1]) if line.startswith("wchar") else 0
    return total


def test_disk_written_to_meanwhile_is_noticed(
    far: Far, remotes: Remotes, source: Path, tmp_path: Path
) -> None:
    copied(remotes, far, source, tmp_path / "copy")
    with source.open("r+b") as stream:
        stream.seek(33 * BLOCK)
        stream.write(b"\1")
    with pytest.raises(VmRunning, match="written to while it was read"):
        remotes.verify(ignore)


def test_lost_connection_is_told(far: Far, remotes: Remotes, source: Path, tmp_path: Path) -> None:
    def cut(done: int, _total: int) -> None:
        if done:
            for pid in far.sessions():
                with suppress(ProcessLookupError):  # it ends since the last time
                    os.kill(pid, 9)

    uri = remotes.uri(far.address, str(source))
    with pytest.raises(Failed):
        blocks.digest(uri, "raw", cut)
    assert isinstance(remotes.failure(), ConnectionFailed)
    assert "was lost" in str(remotes.failure())


@pytest.mark.parametrize("path", ["/no/such/disk", "/dev", "/dev/null"])
def test_what_is_no_disk_is_refused(far: Far, remotes: Remotes, path: str) -> None:
    with pytest.raises(InvalidDisk, match=path):
        remotes.disk(far.address, path)


def broken(far: Far, what: str) -> None:
    if what == "server":
        os.kill(far.pid, 15)
        time.sleep(0.5)
    else:
        (far.folder / what).write_text("")


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("known", HostKeyUnknown),
        ("authorized", SourceAuthFailed),
        ("server", ConnectionFailed),
    ],
)
def test_host_that_lets_nobody_in_is_told(
    far: Far, remotes: Remotes, what: str, error: type[MigrationError]
) -> None:
    broken(far, what)
    with pytest.raises(error, match=r"127\.0\.0\.1") as raised:
        remotes.disk(far.address, "/dev/null")
    assert f"ssh root@127.0.0.1 -p {far.address.rpartition(':')[2]}" in raised.value.hint


def test_image_is_of_the_format_that_is_said(far: Far, remotes: Remotes, tmp_path: Path) -> None:
    image = tmp_path / "image"
    make_image(image, image_format="qcow2", size=SIZE, preallocated=False)
    uri = remotes.uri(far.address, str(image))
    with pytest.raises(InvalidDisk, match="looks like qcow2"):
        examine_served(uri, "raw", path=str(image), head=b"QFI\xfb")
    with pytest.raises(Unsupported, match="format vmdk"):
        examine_served(uri, "vmdk", path=str(image), head=b"KDMV")


@pytest.mark.parametrize("image_format", ["qcow2", "vpc"])
def test_remote_image_has_the_size_of_its_disk(
    far: Far, remotes: Remotes, tmp_path: Path, image_format: str
) -> None:
    image = tmp_path / "image"
    make_image(image, image_format=image_format, size=8 << 20, preallocated=False)
    uri = remotes.uri(far.address, str(image))
    found = examine_served(uri, image_format, path=str(image), head=image.read_bytes()[:8])
    assert 8 << 20 <= found.size < 9 << 20


def test_sizes_of_many_disks_are_told_at_once(far: Far, tmp_path: Path) -> None:
    raw, absent, odd = tmp_path / "a raw 'disk'.img", tmp_path / "absent", tmp_path / "two\nlines"
    for path in (raw, odd):
        path.write_bytes(bytes(12345))
    made = [(str(tmp_path / f"{number}.qcow2"), "qcow2") for number in range(120)]
    make_image(Path(made[0][0]), image_format="qcow2", size=3 << 30, preallocated=False)
    for copied, _ in made[1:]:
        shutil.copy(made[0][0], copied)
    make_image(tmp_path / "b.vhd", image_format="vpc", size=1 << 30, preallocated=False)
    subprocess.run(["truncate", "-s", "1049088", tmp_path / "fixed.vhd"], check=True)
    asked = [(str(path), "raw") for path in (raw, absent, odd, tmp_path)]
    asked += [*made, ("raw", "raw"), (str(raw), "qcow2"), (str(tmp_path / "b.vhd"), "vpc")]
    asked += [(str(tmp_path / "fixed.vhd"), "vpc")]
    with connected(far.address) as connection:
        found = sizes(connection, asked)
    vhd = found.pop((str(tmp_path / "b.vhd"), "vpc"))
    assert abs(vhd - (1 << 30)) < 1 << 20  # it counts in cylinders
    assert found.pop((str(tmp_path / "fixed.vhd"), "vpc")) == 1 << 20
    assert found == {(str(raw), "raw"): 12345} | dict.fromkeys(made, 3 << 30)


def test_empty_file_is_told(far: Far, remotes: Remotes, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    disk = remotes.disk(far.address, str(tmp_path / "empty"))
    assert disk.read(0, 64) == b""


@pytest.mark.parametrize("live", [True, False])
def test_disk_that_changes_while_it_is_read_is_refused_if_no_guest_runs(
    far: Far, tmp_path: Path, *, live: bool
) -> None:
    path, blocks_read = tmp_path / "disk.img", CACHE + 2
    path.write_bytes(b"x" * blocks_read * BLOCK)
    folder = Path(mkdtemp(dir="/run"))
    with closing(Remotes(folder, live=live)) as remotes:
        disk = remotes.disk(far.address, str(path))
        for number in range(blocks_read):  # the first is forgotten then
            disk.read(number * BLOCK, 1)
        with path.open("r+b") as stream:
            stream.write(b"changed")
        if live:
            assert disk.read(0, 7) == b"changed"
        else:
            with pytest.raises(VmRunning):
                disk.read(0, 7)


def test_far_zeroes_are_looked_for_many_at_once_and_looked_at_again(
    far: Far, tmp_path: Path
) -> None:
    path, count = tmp_path / "disk.img", 3 * RUN
    with path.open("wb") as stream:
        stream.truncate(count * BLOCK + 512)
        for number in (0, RUN + 5, RUN + 6, count - 1):
            stream.seek(number * BLOCK + 7)
            stream.write(b"data")
    folder = Path(mkdtemp(dir="/run"))
    with closing(Remotes(folder)) as remotes:
        disk = remotes.disk(far.address, str(path))
        read = b"".join(disk.read(number * BLOCK, BLOCK) for number in range(count))
        assert read + disk.read(count * BLOCK, 512) == path.read_bytes()
        remotes.verify(ignore)
        with path.open("r+b") as stream:
            stream.seek(2 * RUN * BLOCK)
            stream.write(b"x")
        with pytest.raises(VmRunning):
            remotes.verify(ignore)


def test_guest_that_runs_may_write_where_zeroes_were(far: Far, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 * BLOCK))
    folder = Path(mkdtemp(dir="/run"))
    with closing(Remotes(folder, live=True)) as remotes:
        disk = remotes.disk(far.address, str(path))
        assert disk.read(0, 7) == bytes(7)
        with path.open("r+b") as stream:
            stream.write(b"changed")
        assert disk.read(0, 7) == b"changed"
