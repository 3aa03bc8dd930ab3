# SPDX-License-Identifier: GPL-2.0-or-later
"""A socket that may be full.

The writers of dbus-next and dbus-fast take EAGAIN for the end of the connection: a burst of signals
made the service deaf while it still owned its name (python-dbus-next issue 153).
"""

import socket
from typing import Any

from xen2kvmd.bus.library import MessageBus


class PatientSocket:
    """Says that nothing was written where a full socket would raise; the writer waits then."""

    def __init__(self, wrapped: socket.socket) -> None:
        self._wrapped = wrapped

    def send(self, data: bytes) -> int:
        try:
            return self._wrapped.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


def make_patient(bus: MessageBus) -> None:
    """Put a PatientSocket under the writer of a connected bus, one of whose privates it is.

    Raises AttributeError at start, not later, should the library have changed there.
    """
    writer: Any = bus._writer
    writer.sock = PatientSocket(writer.sock)
