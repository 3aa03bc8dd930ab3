# SPDX-License-Identifier: GPL-2.0-or-later
"""`python3 -m xen2kvmd.bus.key_reader SIZE FD...`: read what is in descriptors, and end.

Each gives a line of JSON, in their order: what it holds, in hexadecimal digits, or why it cannot be
read. See key_descriptors.py, which begins us: whoever sent a descriptor decides how long each call
about it takes, even one that asks what it is.
"""

import json
import os
import select
import signal
import stat
import sys

LONGEST = 60  # seconds that we live, even where the service that began us was killed


def read(descriptor: int, size: int) -> bytes:
    """Return what a regular file, from its beginning, or a pipe holds; `size` bytes at most.

    Raises OSError, or ValueError for what is neither, or pretends to be a file: those of /proc have
    no size, and show to root more than to who has opened them.
    """
    about = os.fstat(descriptor)
    if stat.S_ISFIFO(about.st_mode):
        return _drain(descriptor, size)
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("it is neither a file nor a pipe")
    return os.pread(descriptor, size, 0) if about.st_size else b""


def _drain(pipe: int, size: int) -> bytes:
    """Read a pipe until its writers have closed it; it may be one that does not block."""
    data = b""
    readable = select.poll()
    readable.register(pipe, select.POLLIN)
    while len(data) < size:
        readable.poll()
        try:
            more = os.read(pipe, size - len(data))
        except BlockingIOError:
            continue
        if not more:
            break
        data += more
    return data


def answer(descriptor: int, size: int) -> dict[str, str]:
    """Return what came of a descriptor."""
    try:
        return {"holds": read(descriptor, size).hex()}
    except ValueError as error:
        return {"wrong": str(error)}
    except OSError as error:
        return {"wrong": f"it cannot be read: {error.strerror}"}


if __name__ == "__main__":
    signal.alarm(LONGEST)
    for number in sys.argv[2:]:
        sys.stdout.write(json.dumps(answer(int(number), int(sys.argv[1]))) + "\n")
        sys.stdout.flush()
