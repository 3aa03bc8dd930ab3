# SPDX-License-Identifier: GPL-2.0-or-later
"""Callers of the service for tools/bench-service, alone and many at once."""

import os
import selectors
import socket
import struct
import sys
import time
from typing import Any

from dbus_next import Message

BUS = "/run/dbus/system_bus_socket"
NAME, ROOT = "org.xen2kvm.Migrator1", "/org/xen2kvm/Migrator1"
OWN, STANDARD = f"{NAME}.Manager", "org.freedesktop.DBus"
ERROR = 3  # type of a message

METHODS = (
    ("Ping", f"{STANDARD}.Peer"),
    ("ListJobs", OWN),
    ("GetManagedObjects", f"{STANDARD}.ObjectManager"),
)
BODIES: dict[str, tuple[str, list[object]]] = {"ListJobs": ("a{sv}", [{}])}


class Caller:
    """A connection to the bus by hand, so that the time taken is the bus's and the service's."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(BUS)
        self.socket.sendall(b"\0AUTH EXTERNAL %s\r\n" % str(os.geteuid()).encode().hex().encode())
        self.socket.recv(100)
        self.socket.sendall(b"BEGIN\r\n")
        self.serial = 0
        self.received = bytearray()
        self.begun = 0.0
        self.member = ""
        self.call("Hello", STANDARD, destination=STANDARD)

    def send(self, member: str, interface: str, **other: object) -> None:
        """Send a call."""
        self.serial += 1
        signature, body = BODIES.get(member, ("", []))
        fields: dict[str, Any] = {"destination": NAME, "signature": signature, "body": body} | other
        message = Message(
            path=ROOT, interface=interface, member=member, serial=self.serial, **fields
        )
        self.member, self.begun = member, time.monotonic()
        self.socket.sendall(message._marshall())  # type: ignore[no-untyped-call]

    def replied(self) -> bytes | None:
        """Receive a part; return the body if the reply to the last call is whole now."""
        part = self.socket.recv(1 << 20)
        if not part:
            sys.exit("The bus closed a connection.")
        self.received += part
        while len(self.received) >= 16:
            size, _, fields = struct.unpack_from("<III", self.received, 4)
            head = 16 + fields + -fields % 8
            if len(self.received) < head + size:
                return None
            kind, body = self.received[1], bytes(self.received[head : head + size])
            answers = b"\x05\x01u\0" + struct.pack("<I", self.serial)
            mine = answers in self.received[16:head]
            del self.received[: head + size]
            if mine and kind == ERROR:
                sys.exit(f"{self.member} failed: {body.decode(errors='replace')}")
            if mine:
                return body
        return None

    def call(self, member: str, interface: str, **other: object) -> bytes:
        """Call, and return the reply's body."""
        self.send(member, interface, **other)
        while (body := self.replied()) is None:
            pass
        return body

    def timed(self, member: str, interface: str) -> float:
        """Call, and return the seconds that it took."""
        self.call(member, interface)
        return time.monotonic() - self.begun

    def pid(self) -> int:
        """Return the process id of the service."""
        body = self.call(
            "GetConnectionUnixProcessID", STANDARD, destination=STANDARD, signature="s", body=[NAME]
        )
        return int(struct.unpack("<I", body)[0])


def load(clients: int, duration: int) -> dict[str, list[float]]:
    """Let callers call one method after another for a while; return what each took."""
    took: dict[str, list[float]] = {member: [] for member, _ in METHODS}
    with selectors.DefaultSelector() as selector:
        for number in range(clients):
            caller = Caller()
            selector.register(caller.socket, selectors.EVENT_READ, caller)
            caller.send(*METHODS[number % len(METHODS)])
        end = time.monotonic() + duration
        while time.monotonic() < end:
            for key, _ in selector.select(1):
                caller = key.data
                if caller.replied() is None:
                    continue
                took[caller.member].append(time.monotonic() - caller.begun)
                caller.send(*METHODS[caller.serial % len(METHODS)])
    return took
