# SPDX-License-Identifier: GPL-2.0-or-later
"""What a worker tells the daemon while it works: datagrams, as sd_notify sends them.

The journal is the truth; a datagram that is lost costs a moment of ignorance and nothing else.
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from xen2kvmd.jobs.status import Event

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 16
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SCM_CREDENTIALS)


class Sender:
    """The worker's end."""

    def __init__(self, path: Path, job_id: str) -> None:
        self._path = str(path)
        self._job_id = job_id
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, event: Event) -> None:
        """Tell the daemon, if one listens; it reads the journal otherwise."""
        data = json.dumps({"job": self._job_id, "event": event}).encode()
        with suppress(OSError):
            self._socket.sendto(data, self._path)

    def close(self) -> None:
        self._socket.close()


class Receiver:
    """The daemon's end: calls `heard(job_id, event)` for what root's processes send."""

    def __init__(self, path: Path, heard: Callable[[str, Event], None]) -> None:
        self._path = path
        self._heard = heard
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)  # a daemon before us left it
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = self._socket.recvmsg(
                    MAX_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
                if _sender_uid(ancillary) != os.getuid():
                    continue
                try:
                    message = json.loads(data)
                    self._heard(message["job"], message["event"])
                except (ValueError, KeyError, TypeError):
                    log.warning("A datagram that is no event was ignored")


def _sender_uid(ancillary: list[tuple[int, int, Any]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(data)[1])
    return -1
