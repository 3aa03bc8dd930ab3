# SPDX-License-Identifier: GPL-2.0-or-later
"""Copying and hashing real images through real servers."""

import os
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loop import loop_device
from xen2kvmd.errors import Cancelled, Failed
from xen2kvmd.system import blocks, files
from xen2kvmd.system.blocks import copy, digest
from xen2kvmd.system.disk import make_image
from xen2kvmd.system.ledger import Ledger
from xen2kvmd.system.measure import BLOCK, Progress
from xen2kvmd.system.opened_disk import opened_for_writing
from xen2kvmd.system.pace import Pace
from xen2kvmd.system.zeroes import write_zeroes

SIZE = 40 * BLOCK + 512  # not a whole number of blocks


def ignore(_done: int, _total: int) -> None:
    """Take progress and do nothing."""


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A sparse image with data at its begin, across blocks, and at its very end."""
    path = tmp_path / "source"
    with path.open("wb") as stream:
        stream.truncate(SIZE)
        for offset in (0, 7 * BLOCK - 100, 20 * BLOCK, SIZE - 300):
            stream.seek(offset)
            stream.write(os.urandom(300))
        stream.seek(30 * BLOCK)
        stream.write(bytes(2 * BLOCK))  # zeroes that are written and no hole
    return str(path)


@pytest.mark.parametrize("target_format", ["raw", "qcow2"])
def test_copy_is_the_same_and_sparse(source: str, tmp_path: Path, target_format: str) -> None:
    target = tmp_path / "target"
    make_image(target, image_format=target_format, size=SIZE, preallocated=False)
    seen: list[tuple[int, int]] = []
    read = copy(
        lambda *at: seen.append(at), source=(source, "raw"), target=(str(target), target_format)
    )
    argv = ["qemu-img", "compare", "-f", "raw", "-F", target_format, source, str(target)]
    subprocess.run(argv, check=True)
    assert digest(str(target), target_format, ignore) == read == digest(source, "raw", ignore)
    assert target.stat().st_blocks * 512 < 7 * BLOCK
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] < 10 * BLOCK
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_compressed_copy_is_the_same_and_smaller(tmp_path: Path) -> None:
    path, target = tmp_path / "a,source", tmp_path / "a,target"
    size = 40 * BLOCK + 4096
    path.write_bytes(b"easy to compress" * (size // 16))
    make_image(target, image_format="qcow2", size=size, preallocated=False, cluster_size=4096)
    read = copy(ignore, source=(str(path), "raw"), target=(str(target), "qcow2"), compressed=True)
    assert digest(str(target), "qcow2", ignore) == read
    assert target.stat().st_blocks * 512 < 2 * BLOCK
    subprocess.run(["qemu-img", "check", "-q", str(target)], check=True)


def test_paced_copy_takes_its_time_and_hears_a_cancel(source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "target")
    make_image(Path(target), image_format="raw", size=SIZE, preallocated=False)
    begun = time.monotonic()
    copy(
        ignore, source=(source, "raw"), target=(target, "raw"), pace=Pace(2 * BLOCK)
    )  # of about 4 MiB
    assert 1.0 < time.monotonic() - begun < 10

    def cancel(_done: int, _total: int) -> None:
        if time.monotonic() - begun > 0.5:
            raise Cancelled("enough")

    begun = time.monotonic()
    with pytest.raises(Cancelled):
        copy(
            cancel, source=(source, "raw"), target=(target, "raw"), pace=Pace(1)
        )  # would take a month
    assert time.monotonic() - begun < 10


def test_zeroes_are_not_paced(tmp_path: Path) -> None:
    """They are written and no hole, as in a block device, or behind our own server."""
    path, target = tmp_path / "zeroes", tmp_path / "target"
    path.write_bytes(bytes(60 * BLOCK) + b"data" * 1000)
    make_image(target, image_format="raw", size=path.stat().st_size, preallocated=False)
    begun = time.monotonic()
    copy(ignore, source=(str(path), "raw"), target=(str(target), "raw"), pace=Pace(BLOCK))
    assert time.monotonic() - begun < 30


def test_pace_is_shared(tmp_path: Path) -> None:
    pace, begun = Pace(10), time.monotonic()
    threads = [threading.Thread(target=pace.wait, args=(5, lambda: None)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun >= 1.5


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A block device that is not empty."""
    (tmp_path / "device").write_bytes(b"stale" * (SIZE // 5) + b"!" * (SIZE % 5))
    with loop_device(tmp_path / "device") as device:
        yield device


def test_block_device_is_written_and_read(source: str, device: str) -> None:
    write_zeroes(device)
    read = copy(ignore, source=(source, "raw"), target=(device, "raw"))
    assert digest(device, "raw", ignore) == read
    with open(source, "rb") as one, open(device, "rb") as other:
        assert one.read() == other.read()


def test_digest_sees_each_bit_and_where_it_is(source: str) -> None:
    before = digest(source, "raw", ignore)
    with open(source, "r+b") as stream:
        stream.seek(33 * BLOCK)
        stream.write(b"\1")
    changed = digest(source, "raw", ignore)
    with open(source, "r+b") as stream:
        stream.seek(33 * BLOCK)
        stream.write(b"\0")
        stream.seek(34 * BLOCK)
        stream.write(b"\1")
    assert len({before, changed, digest(source, "raw", ignore)}) == 3


def test_digest_does_not_depend_on_holes(source: str, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.write_bytes(Path(source).read_bytes())
    assert digest(str(full), "raw", ignore) == digest(source, "raw", ignore)


@pytest.mark.parametrize("target_format", ["raw", "qcow2"])
def test_copy_in_a_larger_place_has_the_digest_of_its_part(
    source: str, tmp_path: Path, target_format: str
) -> None:
    """A logical volume has whole extents, of 4 MiB by default; what is behind does not count."""
    target = tmp_path / "target"
    larger = SIZE + 3 * BLOCK + 512
    make_image(target, image_format=target_format, size=larger, preallocated=False)
    read = copy(ignore, source=(source, "raw"), target=(str(target), target_format))
    assert digest(str(target), target_format, ignore) != read
    with opened_for_writing(str(target), target_format) as disk:
        disk.write(bytearray(b"not ours"), larger - 100)
    assert digest(str(target), target_format, ignore, size=SIZE) == read
    with opened_for_writing(str(target), target_format) as disk:
        disk.write(bytearray((Path(source).read_bytes()[-1] ^ 1,)), SIZE - 1)
    assert digest(str(target), target_format, ignore, size=SIZE) != read
    assert digest(source, "raw", ignore, size=larger) == read  # never more than there is


@pytest.mark.parametrize("target_format", ["raw", "qcow2"])
def test_copy_goes_on_where_it_was_cut_off(
    source: str, tmp_path: Path, target_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "DURABLE", 2 * BLOCK)
    target = tmp_path / "target"
    make_image(target, image_format=target_format, size=SIZE, preallocated=False)

    def copied(progress: Progress) -> str:
        ledger = Ledger(tmp_path / "ledger")
        return copy(
            progress, source=(source, "raw"), target=(str(target), target_format), ledger=ledger
        )

    def cut(done: int, _total: int) -> None:
        if done > 2 * BLOCK:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        copied(cut)
    assert len(list(Ledger(tmp_path / "ledger").blocks())) == 2
    with (tmp_path / "ledger").open("ab") as ledger:
        ledger.write(b"half a record that a crash has left")
    with open(source, "r+b") as stream:  # what was copied for good is not read again
        stream.write(b"others")
    seen: list[int] = []
    whole = copied(lambda done, _total: seen.append(done))
    assert seen[0] >= 2 * BLOCK
    assert digest(str(target), target_format, ignore) == whole


def test_memory_does_not_grow_with_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of as many blocks as 64 GiB have."""
    monkeypatch.setattr(blocks, "BLOCK", 512)
    path = tmp_path / "disk"
    path.write_bytes(b"data" * 128 * (1 << 16))
    tracemalloc.start()
    try:
        digest(str(path), "raw", ignore)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_digest_is_of_what_the_storage_has(source: str, tmp_path: Path) -> None:
    """What was just written is not in the page cache any more: a read that may not wait fails."""
    with open(source, "r+b") as stream:
        stream.write(b"fresh")
    files.forget(Path(source))
    descriptor = os.open(source, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            os.preadv(descriptor, [bytearray(5)], 0, os.RWF_NOWAIT)
    finally:
        os.close(descriptor)


def test_source_that_ends_too_early_is_named(source: str, tmp_path: Path) -> None:
    """Not the target, which is open at the same time."""
    target = tmp_path / "target"
    make_image(target, image_format="raw", size=SIZE, preallocated=False)
    with pytest.raises(Failed, match=f"The disk {source} cannot be read: it ends too early"):
        copy(
            lambda *_at: os.truncate(source, 5 * BLOCK),
            source=(source, "raw"),
            target=(str(target), "raw"),
        )


def test_cancel_ends_the_copy_and_its_servers(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    make_image(target, image_format="raw", size=SIZE, preallocated=False)

    def cancel(done: int, _total: int) -> None:
        if done > 2 * BLOCK:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        copy(cancel, source=(source, "raw"), target=(str(target), "raw"))


@pytest.mark.parametrize("there", [True, False])
def test_what_cannot_be_opened_says_which(source: str, tmp_path: Path, *, there: bool) -> None:
    target = tmp_path / "target"
    if there:
        target.write_text("no qcow2")
    with pytest.raises(Failed, match=str(target)):
        copy(ignore, source=(source, "raw"), target=(str(target), "qcow2"))


def test_target_that_is_too_small_is_refused(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    make_image(target, image_format="raw", size=SIZE // 2, preallocated=False)
    with pytest.raises(Failed, match="smaller"):
        copy(ignore, source=(source, "raw"), target=(str(target), "raw"))


def test_full_target_fails_with_its_reason(source: str, tmp_path: Path) -> None:
    """The disk is full in the middle: a real one, in a small file system of our own."""
    room = tmp_path / "room"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(room)], check=True)
    try:
        target = room / "target"
        make_image(target, image_format="raw", size=SIZE, preallocated=False)
        with pytest.raises(Failed, match=f"The disk {target} cannot be written: No space left"):
            copy(ignore, source=(source, "raw"), target=(str(target), "raw"))
    finally:
        subprocess.run(["umount", str(room)], check=True)
