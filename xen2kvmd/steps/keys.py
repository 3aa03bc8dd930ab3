# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys of the guest's encrypted disks: read where they lie, when an appliance is started.

A job keeps where they are and never what they are, so that nothing secret outlives its process.
"""

import os
import stat

from xen2kvmd.errors import InvalidOption
from xen2kvmd.guest.key import Key
from xen2kvmd.model import DiskKey, Request
from xen2kvmd.system import credentials

LARGEST = 4096  # bytes; a passphrase of LUKS has 512 at most (cryptsetup(8))


def read(request: Request) -> tuple[Key, ...]:
    """Return the keys. Raises InvalidOption for one that is not there, or cannot be one."""
    return tuple(Key(key.selector, _secret(key)) for key in request.keys)


def path(key: DiskKey) -> str:
    """Return the file that holds a key in clear, or "" where there is none."""
    return key.file or str(credentials.plain(key.credential) or "")


def _secret(key: DiskKey) -> str:
    if key.credential:
        data, where = credentials.read(key.credential), f"the credential {key.credential}"
    else:
        data, where = _of_file(key.file), key.file
    data = data.removesuffix(b"\n")
    if not data or len(data) > LARGEST or b"\0" in data:
        raise _unusable(where)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _unusable(where) from None


def _of_file(name: str) -> bytes:
    try:
        # Without waiting for the other end of a fifo.
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidOption(f"{name}, which shall hold a key, is no regular file.")
            return file.read(LARGEST + 2)
    except OSError as error:
        raise InvalidOption(f"The key in {name} cannot be read: {error.strerror}.") from error


def _unusable(where: str) -> InvalidOption:
    return InvalidOption(
        f"What is in {where} is no passphrase: it is empty, too long, or not text.",
        hint="Add a passphrase to the disk: cryptsetup luksAddKey --key-file OLD DEVICE.",
    )
