# SPDX-License-Identifier: GPL-2.0-or-later
"""A block device of this host, of which nothing shows that somebody writes to it.

So it is read as a disk of another host is: the hash of each block is kept, and at the end what was
read is read once more. It is read past the page cache, for the storage may be shared, and Xen's
blkback writes past it.
"""

import mmap
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL, EIO

import xxhash

from xen2kvmd.errors import Failed, InvalidDisk, MigrationError, VmRunning
from xen2kvmd.system.read_blocks import ReadBlocks
from xen2kvmd.system.remote_disk import CACHE, Progress, Size

BLOCK = 1 << 20  # bytes; the unit of reading and hashing


class LocalDisk:
    """A block device, or a file beside one, made by opened(). Threads may share it.

    One that is live, of a guest that runs, may differ each time it is read; it cannot be verified.
    """

    def __init__(self, descriptor: int, path: str, *, live: bool) -> None:
        self._descriptor, self._path, self._live = descriptor, path, live
        self._lock = threading.Lock()
        self._page = mmap.mmap(-1, BLOCK)  # O_DIRECT wants aligned memory
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.kept = CACHE
        self.failure: MigrationError | None = None
        size = os.lseek(descriptor, 0, os.SEEK_END)
        self.size = Size(size, size)
        self._read_blocks = ReadBlocks(-(-size // BLOCK))

    def read(self, offset: int, count: int) -> bytes:
        """Read from the disk; the first error is kept, and raised each time from then on."""
        with self._lock:
            if self.failure:
                raise self.failure
            try:
                end = min(offset + count, self.size.size)
                first, last = offset // BLOCK, -(-end // BLOCK)
                data = b"".join(self._block(number) for number in range(first, last))
            except MigrationError as error:
                self.failure = error
                raise
            return data[offset - first * BLOCK :][:count]

    def stamp(self) -> list[int]:
        """Return what changes when a file is written: its time and size; nothing for a device."""
        state = os.fstat(self._descriptor)
        return [] if stat.S_ISBLK(state.st_mode) else [state.st_mtime_ns, state.st_size]

    def verify(self, progress: Progress) -> None:
        """Read all that was read once more. Raises VmRunning for a difference."""
        with self._lock:
            numbers = self._read_blocks
            total, done = sum(1 for _ in numbers), 0
            for number in numbers:
                self._check(number, self._fetch(number))
                done += 1
                progress(done * BLOCK, total * BLOCK)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            data = self._fetch(number)
            if not self._live:
                self._check(number, data)
            self._blocks[number] = data
            while len(self._blocks) > self.kept:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _check(self, number: int, data: bytes) -> None:
        if not self._read_blocks.first(number, xxhash.xxh3_128_digest(data)):
            raise VmRunning(
                f"The disk {self._path} was written to while it was read.",
                hint="Shut the source guest down, see that nothing starts it, and migrate again.",
            )

    def _fetch(self, number: int) -> bytes:
        length = min(BLOCK, self.size.size - number * BLOCK)
        try:
            got = os.preadv(self._descriptor, [self._page], number * BLOCK)
            if got < length:
                raise OSError(EIO, "it ends too early")
        except OSError as error:
            raise Failed(f"The disk {self._path} cannot be read: {error.strerror}.") from error
        return self._page[:length]


@contextmanager
def opened(path: str, *, live: bool) -> Iterator[LocalDisk]:
    """Open a block device, or a file, of this host, for reading. Raises InvalidDisk."""
    try:
        descriptor = _open(path)
    except OSError as error:
        raise InvalidDisk(f"The disk {path} cannot be read: {error.strerror}.") from error
    try:
        yield LocalDisk(descriptor, path, live=live)
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    """Open it past the page cache, where its file system or driver lets us."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
