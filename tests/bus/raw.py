# SPDX-License-Identifier: GPL-2.0-or-later
"""A caller without a library: sends what a library would not."""

import array
import os
import pwd
import socket
import struct
from contextlib import suppress
from types import TracebackType

from dbus_next import Message, MessageType

from tests.bus.client import FDO, MANAGER, NAME, ROOT

_UNIX_FDS = 9  # header field


class RawCaller:
    """A connection to the bus by hand."""

    def __init__(self, address: str, user: str, *, descriptors: bool = False) -> None:
        uid = pwd.getpwnam(user).pw_uid
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        os.seteuid(uid)
        try:
            self.socket.connect(address.removeprefix("unix:path="))
            self.socket.sendall(b"\0AUTH EXTERNAL %s\r\n" % str(uid).encode().hex().encode())
            assert self.socket.recv(100).startswith(b"OK")
        finally:
            os.seteuid(0)
        if descriptors:
            self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
            assert self.socket.recv(100).startswith(b"AGREE")
        self.socket.sendall(b"BEGIN\r\n")
        hello = Message(
            destination=FDO, path="/org/freedesktop/DBus", interface=FDO, member="Hello", serial=1
        )
        self.socket.sendall(marshalled(hello))
        self.receive()

    def __enter__(self) -> "RawCaller":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def receive(self, until: bytes = b"") -> bytes:
        """Receive until something has come."""
        got = self.socket.recv(65536)
        while until not in got:
            got += self.socket.recv(65536)
        return got

    def ping(self) -> None:
        """Ask whether the service is there; return when it has said so."""
        self.socket.sendall(self._call(member="Ping", interface=FDO + ".Peer"))
        self.receive()

    def send_array(self, size: int, *, of: str) -> None:
        """Send a call with an array of so many bytes, of numbers of a type: "u", "y"."""
        head = bytearray(self._call(signature=f"a{of}", body=[b"" if of == "y" else []]))[:-4]
        struct.pack_into("<I", head, 4, 4 + size)
        self.socket.sendall(head + struct.pack("<I", size) + bytes(size))

    def ask_for_jobs(self, count: int) -> None:
        """Call ListJobs many times and read no reply; end when the bus takes no more from us."""
        call = bytearray(self._call(signature="a{sv}", body=[{}]))
        self.socket.settimeout(1)
        with suppress(TimeoutError):
            for serial in range(2, count + 2):
                struct.pack_into("<I", call, 8, serial)
                self.socket.sendall(call)

    def list_jobs(self, last: str) -> None:
        """Call ListJobs, and receive until the last job has come."""
        self.socket.sendall(self._call(signature="a{sv}", body=[{}]))
        self.receive(until=last.encode())

    def ask_for_all(self, last: str) -> None:
        """Call GetManagedObjects, and receive until the last job has come."""
        call = Message(
            destination=NAME,
            path=ROOT,
            interface=FDO + ".ObjectManager",
            member="GetManagedObjects",
            serial=2,
        )
        self.socket.sendall(marshalled(call))
        self.receive(until=last.encode())

    def send_descriptors(self, kind: MessageType, *, count: int) -> None:
        """Send a message that says in its header that it brings descriptors, and does."""
        message = self._call(kind=kind)
        length = struct.unpack_from("<I", message, 12)[0]
        fields = bytearray(message[16 : 16 + length])
        fields += bytes(-len(fields) % 8)
        fields += bytes([_UNIX_FDS, 1, ord("u"), 0]) + struct.pack("<I", count)
        whole = message[:12] + struct.pack("<I", len(fields)) + bytes(fields)
        whole += bytes(-len(whole) % 8)
        null = os.open("/dev/null", os.O_RDONLY)
        sent = array.array("i", [null] * count)
        self.socket.sendmsg([whole], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])
        os.close(null)

    @staticmethod
    def _call(
        *,
        kind: MessageType = MessageType.METHOD_CALL,
        interface: str = MANAGER,
        member: str = "ListJobs",
        signature: str = "",
        body: list[object] | None = None,
    ) -> bytes:
        message = Message(
            destination=NAME,
            path=ROOT,
            interface=interface,
            member=member,
            message_type=kind,
            signature=signature,
            body=body or [],
            serial=2,
        )
        return marshalled(message)


def marshalled(message: Message) -> bytes:
    """Return what the library would send."""
    return bytes(message._marshall())  # type: ignore[no-untyped-call]
