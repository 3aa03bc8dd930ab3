# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's locks on images of this host: who writes them, and keeping others from it.

A QEMU that needs the permission N of a file holds a lock on its byte 100 + N, and one on byte
200 + N if it forbids that permission to others (QEMU's block/file-posix.c, RAW_LOCK_PERM_BASE and
RAW_LOCK_SHARED_BASE). These are fcntl(2)'s locks of open file descriptions; over NFS, all hosts see
them.
"""

import errno
import fcntl
import os
import struct

from xen2kvmd.errors import VmRunning

READ, WRITE, RESIZE = 0, 1, 3  # BLK_PERM_CONSISTENT_READ, BLK_PERM_WRITE, BLK_PERM_RESIZE
NEEDED, FORBIDDEN = 100, 200
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of fcntl(2), with its padding at the end
_F_OFD_GETLK, _F_OFD_SETLK = 36, 37
_TAKEN = (errno.EACCES, errno.EAGAIN)


def check_unlocked(path: str) -> None:
    """Raise VmRunning if a running QEMU may write to the disk."""
    if is_locked(path):
        raise _in_use(path)


def is_locked(path: str) -> bool:
    """Tell whether a QEMU that runs may write to the file.

    qemu-img info opens such a file without complaint.
    """
    with open(path, "rb") as stream:
        return _has_lock(stream.fileno(), NEEDED + WRITE)


def is_open(path: str) -> bool:
    """Tell whether a QEMU that runs has the file open, also as what an overlay builds on.

    Who reads only forbids others to write.
    """
    with open(path, "rb") as stream:
        return _has_lock(stream.fileno(), NEEDED, 2 * NEEDED)


def keep_unwritten(descriptor: int, path: str) -> None:
    """Let no QEMU write to a file while it is open by this descriptor, which may read it.

    A qemu-nbd would not do it: reading a raw image, it lets others write. Where a file system has
    no locks, QEMU has none either. Raises VmRunning if one writes, or forbids others to read.
    """
    for byte in (NEEDED + READ, FORBIDDEN + WRITE, FORBIDDEN + RESIZE):
        try:
            fcntl.fcntl(descriptor, _F_OFD_SETLK, _flock(fcntl.F_RDLCK, byte, 1))
        except OSError as error:
            if error.errno not in _TAKEN:
                return
            raise _in_use(path) from error
    if any(_has_lock(descriptor, at) for at in (NEEDED + WRITE, NEEDED + RESIZE, FORBIDDEN + READ)):
        raise _in_use(path)


def _has_lock(descriptor: int, first: int, count: int = 1) -> bool:
    """Tell whether another holds a lock on one of so many bytes of a file."""
    found = fcntl.fcntl(descriptor, _F_OFD_GETLK, _flock(fcntl.F_WRLCK, first, count))
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def _flock(kind: int, first: int, count: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, first, count, 0)


def _in_use(path: str) -> VmRunning:
    return VmRunning(
        f"The disk {path} is in use: a running QEMU holds its lock.",
        hint="Shut down the guest that uses it first.",
    )
