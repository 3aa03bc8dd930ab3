# SPDX-License-Identifier: GPL-2.0-or-later
"""A caller of the service: any user, any message."""

import asyncio
import os
import pwd
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dbus_next import Message, MessageFlag, MessageType, Variant
from dbus_next.aio import MessageBus
from dbus_next.auth import AuthExternal

NAME = "org.xen2kvm.Migrator1"
ROOT = "/org/xen2kvm/Migrator1"
MANAGER = NAME + ".Manager"
JOB = NAME + ".Job"
ERROR = NAME + ".Error."
FDO = "org.freedesktop.DBus"
FDO_ERROR = FDO + ".Error."
PROPERTIES = FDO + ".Properties"

Options = Mapping[str, Variant]

NONE: Options = MappingProxyType({})
SOURCE = "libvirtxml:/srv/xen/web1.xml"


class CallError(Exception):
    """The reply was an error."""

    def __init__(self, reply: Message) -> None:
        super().__init__(f"{reply.error_name}: {reply.body}")
        self.name = reply.error_name
        self.body = reply.body
        self.text = reply.body[0] if reply.body else ""


class _AuthAs(AuthExternal):
    """Log in as a user who is not the one of our process."""

    def __init__(self, uid: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uid = uid

    def _authentication_start(self, negotiate_unix_fd: bool = False) -> str:  # noqa: FBT001, FBT002
        self.negotiate_unix_fd = negotiate_unix_fd
        return f"AUTH EXTERNAL {str(self.uid).encode().hex()}"


class Client:
    """A connection to the bus with what it heard."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.signals: list[Message] = []
        bus.add_message_handler(self._hear)

    @staticmethod
    async def connect(address: str, user: str = "root", *, descriptors: bool = True) -> "Client":
        """Connect as a user; who sends no descriptors reads what comes in fewer parts."""
        uid = pwd.getpwnam(user).pw_uid
        os.seteuid(uid)  # what the bus sees of us
        try:
            login = _AuthAs(uid)
            bus = MessageBus(bus_address=address, auth=login, negotiate_unix_fd=descriptors)
        finally:
            os.seteuid(0)
        return Client(await bus.connect())

    @property
    def name(self) -> str:
        return str(self.bus.unique_name)

    async def call(
        self,
        member: str,
        signature: str = "",
        *body: object,
        path: str = ROOT,
        interface: str | None = MANAGER,
        destination: str = NAME,
        interactive: bool = False,
        timeout: float = 10.0,
        descriptors: Sequence[int] = (),
    ) -> list[Any]:
        message = Message(
            destination=destination,
            path=path,
            interface=interface,  # type: ignore[arg-type]
            member=member,
            signature=signature,
            body=list(body),
            flags=MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else MessageFlag.NONE,
            unix_fds=list(descriptors),
        )
        reply = await asyncio.wait_for(self.bus.call(message), timeout)
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            raise CallError(reply)
        return list(reply.body)

    async def start(
        self, operation: str = "Migrate", vm: str = "web1", options: Options = MappingProxyType({})
    ) -> str:
        """Begin a job; return its object path."""
        (path,) = await self.call(operation, "ssa{sv}", SOURCE, vm, dict(options))
        return str(path)

    async def job(
        self, path: str, member: str, signature: str = "a{sv}", *body: object
    ) -> list[Any]:
        return await self.call(member, signature, *(body or ({},)), path=path, interface=JOB)

    async def get(self, path: str, name: str, interface: str = JOB) -> Any:
        (value,) = await self.call("Get", "ss", interface, name, path=path, interface=PROPERTIES)
        return value.value

    async def listen(self) -> None:
        """Hear all that the service broadcasts, from now on."""
        await self.call(
            "AddMatch",
            "s",
            f"type='signal',sender='{NAME}'",
            path="/org/freedesktop/DBus",
            interface=FDO,
            destination=FDO,
        )

    async def heard(self, member: str, count: int = 1) -> list[Message]:
        """Wait for signals."""
        async with asyncio.timeout(5):
            while len(found := [one for one in self.signals if one.member == member]) < count:
                await asyncio.sleep(0.01)
        return found

    def members(self) -> list[str]:
        return [signal.member for signal in self.signals]

    def close(self) -> None:
        disconnect(self.bus)

    def _hear(self, message: Message) -> bool | None:
        if message.message_type is MessageType.SIGNAL and message.interface != FDO:
            self.signals.append(message)
        return None


def disconnect(bus: MessageBus) -> None:
    """End a connection, by the library's function, which has no types."""
    bus.disconnect()  # type: ignore[no-untyped-call]
