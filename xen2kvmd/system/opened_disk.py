# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that is open: its data and where they are, whatever its format.

An image is opened by a qemu-nbd of its own, which knows every format and takes QEMU's locks. What
is raw is read and written as the file or block device that it is, or where another NBD server has
it: a server between would cost a third of the time. Nor would it keep a guest of this host from
writing what we read, as its locks on a raw image allow that: we take others.
"""

import errno
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import nbd

from xen2kvmd.errors import Failed
from xen2kvmd.system import image_locks
from xen2kvmd.system.command import Running
from xen2kvmd.system.qemu_nbd import SOCKET, serving

Extent = tuple[int, int]  # offset and length, in bytes
Named = Callable[[], AbstractContextManager[None]]

SPAN = 1 << 30  # bytes that one question for extents covers
READ_ONLY = ("--read-only",)
WRITABLE = ("--cache=writeback", "--discard=unmap")
EXPORT = "nbd+unix:"  # how the URI begins of what an NBD server has, here or by a forwarded socket
IN_FLIGHT = 4  # reads that a server may work on at once


class OpenedDisk(Protocol):
    """A disk that can be read and, if it was opened so, written; offsets and sizes are in bytes.

    All of it raises Failed, which names the disk: another may be in use at the same time.
    """

    size: int

    def data(self) -> Iterator[Extent]:
        """Yield where data may be, in order; all else is known to read as zeroes."""

    def read(self, extents: Iterable[Extent]) -> Iterator[tuple[int, bytearray]]:
        """Yield the offset and content of each extent, in order."""

    def write(self, data: bytearray, offset: int) -> None:
        """Write at an offset. Threads may write at once, elsewhere, while another disk is read."""

    def flush(self) -> None:
        """Make what was written durable."""


def opened_for_reading(path: str, image_format: str) -> AbstractContextManager[OpenedDisk]:
    """Open a disk, read-only; no QEMU of this host can write to it meanwhile.

    Raises Failed if it cannot be opened or read, VmRunning if such a QEMU has it, in a raw image.
    """
    words = (*READ_ONLY, *image_words(path, image_format, compressed=False))
    return _opened(path, image_format, "read", os.O_RDONLY, words)


def opened_for_writing(
    path: str, image_format: str, *, compressed: bool = False
) -> AbstractContextManager[OpenedDisk]:
    """Open a disk that we have made. Raises Failed if it cannot be opened or written.

    compressed lets qcow2 compress what is written, whole clusters, each once.
    """
    words = (*WRITABLE, *image_words(path, image_format, compressed=compressed))
    return _opened(path, image_format, "written", os.O_RDWR, words)


def _opened(
    path: str, image_format: str, verb: str, flags: int, words: Sequence[str]
) -> AbstractContextManager[OpenedDisk]:
    if image_format == "raw" and path.startswith("/"):
        return _raw(path, verb, flags)
    if image_format == "raw" and path.startswith(EXPORT):
        return _exported(path, verb)
    return _served(path, verb, words)


class _Served:
    """A disk behind an NBD server."""

    def __init__(self, handle: nbd.NBD, named: Named) -> None:
        self._handle, self._named = handle, named
        self.size: int = handle.get_size()

    def data(self) -> Iterator[Extent]:
        with self._named():
            yield from self._data()

    def _data(self) -> Iterator[Extent]:
        if not self._handle.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION):
            yield 0, self.size
            return
        offset = 0
        while offset < self.size:
            entries: list[int] = []

            def take(_context: str, _offset: int, new: list[int], _error: object) -> None:
                entries.extend(new)  # noqa: B023 - called before the loop goes on

            self._handle.block_status(min(SPAN, self.size - offset), offset, take)
            for length, flags in zip(entries[::2], entries[1::2], strict=True):
                if not flags & nbd.STATE_ZERO and offset < self.size:
                    yield offset, min(length, self.size - offset)
                offset += length

    def read(self, extents: Iterable[Extent]) -> Iterator[tuple[int, bytearray]]:
        asked: deque[tuple[int, bytearray, int]] = deque()
        with self._named():
            for offset, length in extents:
                data = bytearray(length)
                asked.append((offset, data, self._handle.aio_pread(data, offset)))
                if len(asked) == IN_FLIGHT:
                    yield self._answer(*asked.popleft())
            while asked:
                yield self._answer(*asked.popleft())

    def _answer(self, offset: int, data: bytearray, cookie: int) -> tuple[int, bytearray]:
        while not self._handle.aio_command_completed(cookie):
            self._handle.poll(-1)
        return offset, data

    def write(self, data: bytearray, offset: int) -> None:
        with self._named():
            self._handle.pwrite(data, offset)

    def flush(self) -> None:
        with self._named():
            self._handle.flush()


class _Raw:
    """A raw disk of this host, by its file descriptor."""

    def __init__(self, descriptor: int, named: Named) -> None:
        self._descriptor, self._named = descriptor, named
        self.size = os.lseek(descriptor, 0, os.SEEK_END)

    def data(self) -> Iterator[Extent]:
        with self._named():
            yield from self._data()

    def _data(self) -> Iterator[Extent]:
        end = 0
        while end < self.size:
            try:
                start = os.lseek(self._descriptor, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
                if error.errno == errno.EINVAL:  # a block device does not tell
                    yield end, self.size - end
                    return
                raise
            end = os.lseek(self._descriptor, start, os.SEEK_HOLE)
            yield start, end - start

    def read(self, extents: Iterable[Extent]) -> Iterator[tuple[int, bytearray]]:
        for offset, length in extents:
            data = bytearray(length)
            got = 0
            with self._named():
                while got < length:
                    count = os.preadv(self._descriptor, [memoryview(data)[got:]], offset + got)
                    if not count:
                        raise OSError(errno.EIO, "it ends too early")
                    got += count
            yield offset, data

    def write(self, data: bytearray, offset: int) -> None:
        rest = memoryview(data)
        with self._named():
            while rest:
                count = os.pwrite(self._descriptor, rest, offset)
                rest, offset = rest[count:], offset + count

    def flush(self) -> None:
        with self._named():
            os.fsync(self._descriptor)


@contextmanager
def _raw(path: str, verb: str, flags: int) -> Iterator[_Raw]:
    named = partial(_named, path, verb)
    with named():
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        with named():
            if flags == os.O_RDONLY:
                image_locks.keep_unwritten(descriptor, path)
            disk = _Raw(descriptor, named)
        yield disk
    finally:
        os.close(descriptor)


@contextmanager
def _exported(uri: str, verb: str) -> Iterator[_Served]:
    """Open what an NBD server has that runs already."""
    named, handle = partial(_named, uri, verb), _client()
    with named():
        handle.connect_uri(uri)
        disk = _Served(handle, named)
    try:
        yield disk
    finally:
        with suppress(nbd.Error):  # what is written was flushed; the server may wait for us
            handle.shutdown(nbd.SHUTDOWN_ABANDON_PENDING)


@contextmanager
def _served(path: str, verb: str, words: Sequence[str]) -> Iterator[_Served]:
    """Serve a disk by a qemu-nbd, which has ended when the block is left."""
    with tempfile.TemporaryDirectory(prefix="xen2kvm-nbd-") as name:
        folder = Path(name)
        with serving(folder, words, named=path) as server:
            named = partial(_named, path, verb, server)
            handle = _client()
            with named():
                handle.connect_unix(str(folder / SOCKET))
                disk = _Served(handle, named)
            yield disk
            with named():
                handle.shutdown()


def _client() -> nbd.NBD:
    handle = nbd.NBD()
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    return handle


def image_words(path: str, image_format: str, *, compressed: bool) -> list[str]:
    """Return the arguments by which qemu-nbd(8) opens an image.

    What compresses qcow2 is a filter over the format: qemu-block-drivers(7) names its options.
    """
    if compressed:
        name = path.replace(",", ",,")
        return ["--image-opts", f"driver=compress,file.driver=qcow2,file.file.filename={name}"]
    return [f"--format={image_format}", path]


@contextmanager
def _named(path: str, verb: str, server: Running | None = None) -> Iterator[None]:
    """Let what fails in the block name the disk."""
    try:
        yield
    except (nbd.Error, OSError) as error:
        reason = error.string if isinstance(error, nbd.Error) else error.strerror
        if server:  # it knows better what went wrong, and has opened the image already
            reason = server.last_words() or reason
        raise Failed(f"The disk {path} cannot be {verb}: {reason}.") from error
