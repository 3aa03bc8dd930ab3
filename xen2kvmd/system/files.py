# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that survive a crash: written whole or not at all, appended and synced."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def write_atomic(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace a file's text: a reader, or a crash, sees the old or the new, never half."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"), mode=mode)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file's content, as `write_atomic` does."""
    partial = _partial(path)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def discard(path: Path) -> None:
    """Remove a file that `write_atomic` has written, or was writing when it was cut off."""
    for name in (path, _partial(path)):
        name.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def free(folder: Path) -> int:
    """Return how many bytes are free for us on the file system of a folder."""
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def mount_points(number: str) -> list[str]:
    """Return where the file system of a device, by its number MAJOR:MINOR, is mounted (proc(5))."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [re.sub(r"\\(\d{3})", _octal, words[4]) for words in lines if words[2] == number]


def _octal(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))


def mount_point(folder: Path) -> Path:
    """Return where the file system of a folder is mounted, by its path without links."""
    path = folder.resolve()
    return next(point for point in (path, *path.parents) if os.path.ismount(point))


def taken(path: Path) -> int:
    """Return how many bytes a file, or all in a folder, has taken of its file system."""
    try:
        if path.is_dir():
            return sum(taken(inside) for inside in path.iterdir())
        return path.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0


def sync(path: Path) -> None:
    """Make a file's content durable, whoever wrote it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def forget(path: Path) -> None:
    """Make a file or block device durable, and let the kernel read it anew the next time."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # what is not written yet would be kept
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a folder's new and removed names durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> IO[str] | None:
    """Take the lock of a file, which is made if missing; None if another process holds it.

    The lock ends with the returned file, or with the process: held means alive.
    """
    stream = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock of a file, which is made if missing, and hold it for the block.

    Who decides by what is written in the file holds it meanwhile: it must not be replaced then.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def try_lock_folder(folder: Path) -> int | None:
    """Take the lock of a folder, which ends with the descriptor; None if another holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def unlock(stream: IO[str]) -> None:
    """Give a lock up, in a child too that was forked just now and has not closed our files yet."""
    fcntl.flock(stream, fcntl.LOCK_UN)
    stream.close()
