# SPDX-License-Identifier: GPL-2.0-or-later
"""Copying and hashing disks: one pass that reads, hashes and writes; holes are not touched.

A disk's digest is a hash over the hashes of its blocks, without the blocks that are all zeroes: so
it does not depend on the format, nor on where the holes are, and a sparse disk is hashed fast.
"""

import hashlib
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbd

from xen2kvmd.errors import Failed
from xen2kvmd.system.command import running

BLOCK = 1 << 20  # bytes; the unit of hashing, and of reading and writing
AHEAD = 16  # blocks that may wait between reader and writer
SPAN = 1 << 30  # bytes that one question for extents covers
ZEROES = bytes(BLOCK)

Progress = Callable[[int, int], None]


def copy(
    source: str, source_format: str, target: str, target_format: str, progress: Progress
) -> str:
    """Copy a disk into a new one, which reads as zeroes, and return the digest of what was read.

    progress(done, total) is called with bytes of data; what it raises ends the copy. Raises Failed
    if a side cannot be opened, read or written.
    """
    with (
        _opened(source, source_format, writable=False) as reader,
        _opened(target, target_format, writable=True) as writer,
    ):
        if writer.get_size() < reader.get_size():
            raise Failed(f"The disk {target} is smaller than {source}.")
        with _writing(writer) as write:
            result = _pass(reader, progress, write)
        writer.flush()
    return result


def digest(path: str, image_format: str, progress: Progress) -> str:
    """Return the digest of a disk."""
    with _opened(path, image_format, writable=False) as reader:
        return _pass(reader, progress, lambda _offset, _data: None)


def _pass(reader: nbd.NBD, progress: Progress, use: Callable[[int, bytes], None]) -> str:
    """Read all data of a disk, hand the blocks that hold any to `use`, and return the digest."""
    size = reader.get_size()
    blocks = _blocks_with_data(reader, size)
    total = sum(min(BLOCK, size - number * BLOCK) for number in blocks)
    whole = hashlib.blake2b(size.to_bytes(8, "big"), digest_size=32)
    done = 0
    progress(0, total)
    for number in blocks:
        offset = number * BLOCK
        data = reader.pread(min(BLOCK, size - offset), offset)
        done += len(data)
        if data != ZEROES[: len(data)]:
            part = hashlib.blake2b(data, digest_size=32).digest()
            whole.update(offset.to_bytes(8, "big") + part)
            use(offset, data)
        progress(done, total)
    return f"blake2b:{whole.hexdigest()}"


def _blocks_with_data(reader: nbd.NBD, size: int) -> list[int]:
    """Return the numbers of all blocks that are not wholly known to be zero."""
    if not reader.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION):
        return list(range(-(-size // BLOCK)))
    found: list[int] = []
    offset = 0
    while offset < size:
        extents: list[int] = []

        def take(_context: str, _offset: int, entries: list[int], _error: object) -> None:
            extents.extend(entries)  # noqa: B023 - called before the loop goes on

        reader.block_status(min(SPAN, size - offset), offset, take)
        for length, flags in zip(extents[::2], extents[1::2], strict=True):
            if not flags & nbd.STATE_ZERO:
                first = max(offset // BLOCK, found[-1] + 1 if found else 0)
                found.extend(range(first, -(-min(offset + length, size) // BLOCK)))
            offset += length
    return found


@contextmanager
def _opened(path: str, image_format: str, *, writable: bool) -> Iterator[nbd.NBD]:
    """Open a disk through a qemu-nbd of its own, which has ended when the block is left."""
    handle = nbd.NBD()
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    access = ["--cache=writeback", "--discard=unmap"] if writable else ["--read-only"]
    with tempfile.TemporaryDirectory(prefix="xen2kvm-nbd-") as folder:
        address, ready = Path(folder) / "socket", Path(folder) / "pid"
        argv = ["qemu-nbd", "-t", "-f", image_format, *access, "-k", str(address)]
        with running([*argv, "--pid-file", str(ready), path]) as server:
            while not ready.exists():  # the socket is there before anybody listens
                server.check()
                time.sleep(0.01)
            try:
                handle.connect_unix(str(address))
                yield handle
                handle.shutdown()
            except nbd.Error as error:
                server.check(seconds=1.0)  # it knows better what went wrong
                verb = "written" if writable else "read"
                raise Failed(f"The disk {path} cannot be {verb}: {error.string}.") from error


@contextmanager
def _writing(writer: nbd.NBD) -> Iterator[Callable[[int, bytes], None]]:
    """Write in a thread, so that reading and writing overlap; what fails there is raised here."""
    waiting: queue.Queue[tuple[int, bytes] | None] = queue.Queue(AHEAD)
    failure: list[Exception] = []

    def work() -> None:
        while (item := waiting.get()) is not None:
            if not failure:
                try:
                    writer.pwrite(item[1], item[0])
                except nbd.Error as error:
                    failure.append(error)

    def write(offset: int, data: bytes) -> None:
        if failure:
            raise failure[0]
        waiting.put((offset, data))

    thread = threading.Thread(target=work, name="write")
    thread.start()
    try:
        yield write
    finally:
        waiting.put(None)
        thread.join()
    if failure:
        raise failure[0]
