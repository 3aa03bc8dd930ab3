# SPDX-License-Identifier: GPL-2.0-or-later
"""A block device of this host, of which nothing shows that somebody writes to it.

So it is read as a disk of another host is: the hash of each block is kept, and at the end what was
read is read once more. It is read past the page cache, for the storage may be shared, and Xen's
blkback writes past it.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL, EIO

import xxhash

from xen2kvmd.errors import Failed, InvalidDisk, VmRunning
from xen2kvmd.system.block_disk import BlockDisk, Size
from xen2kvmd.system.measure import BLOCK, Progress


class LocalDisk(BlockDisk):
    """A block device, or a file beside one, made by opened()."""

    def __init__(self, descriptor: int, path: str, *, live: bool) -> None:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        super().__init__(Size(size, size), live=live)
        self._descriptor, self._path = descriptor, path
        self._page = mmap.mmap(-1, BLOCK)  # O_DIRECT wants aligned memory

    def stamp(self) -> list[int]:
        state = os.fstat(self._descriptor)
        return [] if stat.S_ISBLK(state.st_mode) else [state.st_mtime_ns, state.st_size]

    def verify(self, progress: Progress) -> None:
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
            self._keep(number, data)
        return self._kept(number)

    def _check(self, number: int, data: bytes) -> None:
        if not self._read_blocks.first(number, xxhash.xxh3_128_digest(data)):
            raise VmRunning(
                f"The disk {self._path} was written to while it was read.",
                hint="Shut the source guest down, see that nothing starts it, and migrate again.",
            )

    def _fetch(self, number: int) -> bytes:
        length = self._bytes(number)
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
