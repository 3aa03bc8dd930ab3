# SPDX-License-Identifier: GPL-2.0-or-later
"""The serial console of a domain of libvirt."""

from contextlib import suppress

import libvirt

from xen2kvmd.system.libvirt_errors import translated


class Console:
    """The serial console of a running domain."""

    def __init__(self, stream: "libvirt.virStream") -> None:
        self._stream = stream

    def read(self) -> bytes:
        """Return what was printed since the last time, which may be nothing. It does not wait.

        Output arrives by libvirt's event loop, or with the answer to another call on the same
        connection. A thread that waits in here would be simpler, but libvirt's client
        can lose the word by which one thread asks another to share the connection: both then wait
        until the guest prints something, for ever if it is paused.
        """
        data = bytearray()
        with suppress(libvirt.libvirtError):  # its end
            while isinstance(part := self._stream.recv(1 << 16), bytes) and part:
                data += part
        return bytes(data)

    def write(self, data: bytes) -> None:
        with translated("The console takes no input"):
            self._stream.send(data)

    def close(self) -> None:
        with suppress(libvirt.libvirtError):
            self._stream.abort()
