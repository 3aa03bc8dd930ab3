# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads that a qemu-nbd of another host works on: several at once, answered in order."""

import logging
from collections import deque
from contextlib import ExitStack
from pathlib import Path

import nbd

from xen2kvmd.errors import MigrationError
from xen2kvmd.system.ssh import Connection

log = logging.getLogger(__name__)


class ReadsThere:
    """The reads of one disk, made by opened()."""

    def __init__(self, handle: nbd.NBD) -> None:
        self._handle = handle
        self._asked: deque[tuple[bytearray, int | None]] = deque()  # where to, and the request

    def ask(self, offset: int, length: int) -> None:
        """Ask for a part of the disk."""
        data, request = bytearray(length), None
        try:
            request = self._handle.aio_pread(data, offset)
        except nbd.Error as error:
            log.info("qemu-nbd cannot be asked: %s", error)
        self._asked.append((data, request))

    def take(self) -> bytes | None:
        """Return what the oldest request asked for; None if it failed, or the connection did."""
        data, request = self._asked.popleft()
        try:
            while request is not None and not self._handle.aio_command_completed(request):
                self._handle.poll(-1)
        except nbd.Error as error:
            log.info("qemu-nbd cannot read: %s", error)
            return None
        return bytes(data) if request is not None else None


def opened(
    stack: ExitStack, connection: Connection, *, here: Path, there: str
) -> ReadsThere | None:
    """Let a socket here lead to that of a server there, and read from it, until the stack ends.

    Returns None where that cannot be: an sshd that is old, or set up so, lets no socket pass.
    """
    handle = nbd.NBD()
    try:
        stack.enter_context(connection.forwarded(here=here, there=there))
        handle.connect_unix(str(here))
    except (MigrationError, nbd.Error) as error:
        log.info("The qemu-nbd of %s cannot be reached: %s", connection.host, error)
        return None
    return ReadsThere(handle)
