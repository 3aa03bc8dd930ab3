# SPDX-License-Identifier: GPL-2.0-or-later
"""Our connection to the bus: messages out, calls and signals in.

File descriptors come with them: descriptors.py sees to it that nobody fills our table of them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from xen2kvmd.bus.descriptors import Brought, Descriptors
from xen2kvmd.bus.fault import BusError, fault
from xen2kvmd.bus.library import (
    BusType,
    Message,
    MessageBus,
    MessageFlag,
    MessageType,
    NameFlag,
    RequestNameReply,
    forget_signatures,
)
from xen2kvmd.bus.packed import Packed, Ready
from xen2kvmd.bus.socket import make_patient
from xen2kvmd.bus.variants import clean

log = logging.getLogger(__name__)

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
TIMEOUT = 25.0  # seconds, as other D-Bus libraries have it


class Connection:
    """A connection to the system bus. One that is lost stays lost: the process ends then."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._on_call: Callable[[Message, Brought], None] | None = None
        self._on_signal: dict[str, Callable[[Sequence[Any]], None]] = {}
        self._descriptors = Descriptors()
        make_patient(bus)
        bus.add_message_handler(self._receive)

    @staticmethod
    async def open() -> "Connection":
        """Connect to the system bus (DBUS_SYSTEM_BUS_ADDRESS, else the standard address)."""
        bus = MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
        return Connection(await bus.connect())

    @property
    def name(self) -> str:
        return str(self._bus.unique_name)

    @property
    def closing(self) -> int:
        """How many descriptors that somebody sent are being closed."""
        return self._descriptors.closing

    def serve(self, on_call: Callable[[Message, Brought], None]) -> None:
        """Hand all method calls to on_call, with the descriptors they bring, which it closes."""
        self._on_call = on_call

    async def listen(
        self, member: str, rule: str, receiver: Callable[[Sequence[Any]], None]
    ) -> None:
        """Hand the body of a signal of the bus itself to receiver."""
        self._on_signal[member] = receiver
        await self.call(BUS, BUS_PATH, BUS, "AddMatch", "s", [rule])

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - callers name seconds, not a scope
    ) -> list[Any]:
        """Call a method and return the body of its reply. Raises BusError, or TimeoutError."""
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=clean(list(body)),
        )
        reply = await asyncio.wait_for(self._bus.call(message), timeout)
        if reply is None:
            raise fault("NoReply", f"{member} gave no reply.")
        if reply.message_type is MessageType.ERROR:
            text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
            raise BusError(reply.error_name, text)
        return list(reply.body)

    def tell(self, destination: str, path: str, interface: str, member: str, text: str) -> None:
        """Call a method that takes a string, and do not wait for a reply."""
        self._send(
            Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature="s",
                body=[clean(text)],
                flags=MessageFlag.NO_REPLY_EXPECTED,
            )
        )

    def emit(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        """Broadcast a signal."""
        self._send(Message.new_signal(path, interface, member, signature, clean(body)))

    def reply(self, call: Message, signature: str, body: list[Any] | Packed) -> None:
        """Answer a call, if the caller wants it. A body that does not fit raises an exception."""
        if call.flags & MessageFlag.NO_REPLY_EXPECTED:
            return
        if isinstance(body, Packed):
            self._send_ready(Ready(call, signature, body, serial=self._bus.next_serial()))
        else:
            self._send(Message.new_method_return(call, signature, clean(body)))

    def refuse(self, call: Message, name: str, text: str) -> None:
        """Answer a call with an error, if the caller wants an answer."""
        if not call.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._send(Message.new_error(call, name, clean(text)))

    async def request_name(self, name: str) -> bool:
        """Become the owner of a name; False where another owns it."""
        reply = await self._bus.request_name(name, NameFlag.DO_NOT_QUEUE)
        return reply is RequestNameReply.PRIMARY_OWNER

    async def release_name(self, name: str) -> None:
        """Give a name up. Calls that the bus sent us before have all arrived when this returns."""
        await self._bus.release_name(name)

    async def start_service(self, name: str) -> bool:
        """Let the bus start an owner of a name, and do not wait for it; False if it cannot."""
        (names,) = await self.call(BUS, BUS_PATH, BUS, "ListActivatableNames")
        if name in names:
            self._send(
                Message(
                    destination=BUS,
                    path=BUS_PATH,
                    interface=BUS,
                    member="StartServiceByName",
                    signature="su",
                    body=[name, 0],
                    flags=MessageFlag.NO_REPLY_EXPECTED,
                )
            )
        return name in names

    async def flush(self) -> None:
        """Wait until the bus has all that we sent: it answers in the order of its questions."""
        await self.call(BUS, BUS_PATH, BUS, "GetId")

    async def closed(self) -> None:
        """Wait until the connection is gone; never raises what ended it, but logs that."""
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except Exception as error:
            log.info("The bus is gone: %s", error or type(error).__name__)

    def close(self) -> None:
        self._bus.disconnect()  # type: ignore[no-untyped-call]

    def _send(self, message: Message) -> None:
        if self._bus.connected:
            self._bus.send(message).add_done_callback(_take_result)

    def _send_ready(self, message: Ready) -> None:
        if self._bus.connected:
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(_take_result)
            writer: Any = self._bus._writer
            writer.schedule_write(message, future)

    def _receive(self, message: Message) -> bool | None:
        """Take in a message; the library handles the replies to our own calls.

        What is raised here the library would send to the caller, with a traceback.
        """
        called = message.message_type is MessageType.METHOD_CALL
        handled = called and self._on_call is not None  # nobody whom we call has any for us
        numbers = message.unix_fds or ()
        brought = self._descriptors.take(message.sender or "", numbers, keep=handled)
        try:
            forget_signatures()
            if called:
                if self._on_call:
                    self._on_call(message, brought)
                return True
            # Anybody can send us a signal of any name: only the bus itself is believed.
            if message.message_type is MessageType.SIGNAL and message.sender == BUS:
                receiver = self._on_signal.get(message.member)
                if receiver:
                    receiver(message.body)
        except Exception:
            log.exception("A message of %s could not be taken in", message.sender)
            brought.close()
            return called
        return None


def _take_result(future: "asyncio.Future[None]") -> None:
    """Look at the result, lest asyncio log that nobody did; closed() tells of a lost connection."""
    if not future.cancelled():
        future.exception()
