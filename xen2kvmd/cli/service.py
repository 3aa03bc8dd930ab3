# SPDX-License-Identifier: GPL-2.0-or-later
"""The service as the client sees it: calls and signals over the system bus."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

from dbus_next import BusType, Message, MessageFlag, MessageType, Variant
from dbus_next.aio import MessageBus
from dbus_next.errors import AuthError, InvalidAddressError

from xen2kvmd.cli.text_agent import text_agent
from xen2kvmd.words import one_line, printable

NAME = "org.xen2kvm.Migrator1"
ROOT = "/org/xen2kvm/Migrator1"
JOBS = f"{ROOT}/jobs/"
MANAGER = f"{NAME}.Manager"
JOB = f"{NAME}.Job"
BUS = "org.freedesktop.DBus"

SECONDS = 60.0  # for a call; one that may ask for a password gets longer
SECONDS_TO_ASK = 300.0
LOOK = 10.0  # seconds after which a job is looked at even if no signal came
AT_ONCE = 32  # calls; the bus lets a connection wait for 128 replies
PATIENCE = 60.0  # seconds for a service that is started again
RETRY = 0.5  # seconds
# As an object path has its id: made of the time, or of who called and a token of his.
_JOB = re.compile(r"[0-9]{8}_[0-9]{6}_[0-9a-f]{8}|u[0-9]+_\w+", re.ASCII)
_ID_HINT = "The ids of all jobs: xen2kvm jobs"


class CallFailed(Exception):
    """The service, or the bus, answered with an error; name is the last part of its name."""

    def __init__(self, name: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.name = name.rpartition(".")[2]
        self.message = message
        self.hint = hint


class Service:
    """A connection to xen2kvmd, which the bus starts if it does not run."""

    def __init__(self, bus: MessageBus, *, interactive: bool) -> None:
        """Call over this bus; interactive: a person is there, who may be asked for a password."""
        self._bus = bus
        self._signals: asyncio.Queue[Message] = asyncio.Queue()
        self._interactive = interactive
        bus.add_message_handler(self._take)

    async def manager(
        self, member: str, signature: str = "", *body: Any, descriptors: Sequence[int] = ()
    ) -> list[Any]:
        """Call a method of the manager and return what it answers."""
        return await self.call(
            NAME, ROOT, MANAGER, member, signature, *body, descriptors=descriptors
        )

    async def job(self, path: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        """Call a method of a job and return what it answers."""
        return await self.call(NAME, path, JOB, member, signature, *body)

    async def properties(self, path: str) -> dict[str, Any]:
        """Return all properties of a job as plain values."""
        interface = f"{BUS}.Properties"
        (found,) = await self.call(NAME, path, interface, "GetAll", "s", JOB, ask=False)
        return {key: plain(value) for key, value in found.items()}

    async def all_properties(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        """Return the properties of jobs, but for those that were removed meanwhile."""
        places = asyncio.Semaphore(AT_ONCE)

        async def look(path: str) -> list[dict[str, Any]]:
            async with places:
                try:
                    return [await self.properties(path)]
                except CallFailed as error:
                    if error.name != "UnknownObject":
                        raise
                    return []

        return [job for found in await asyncio.gather(*map(look, paths)) for job in found]

    async def call(
        self,
        name: str,
        path: str,
        interface: str,
        member: str,
        signature: str,
        *body: Any,
        ask: bool = True,
        descriptors: Sequence[int] = (),
    ) -> list[Any]:
        """Call a method; ask: it may be one that asks for a password. Raises CallFailed.

        The descriptors go with it: an `h` in the body is a place among them.
        """
        flags = MessageFlag.NONE
        ask = ask and self._interactive
        if ask:
            flags = MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION
        message = Message(
            destination=name,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=flags,
            unix_fds=list(descriptors),
        )
        limit = SECONDS_TO_ASK if ask else SECONDS
        try:
            reply = await asyncio.wait_for(self._bus.call(message), limit)
        except TimeoutError:
            raise CallFailed("NoReply", f"{member}: no answer within {limit:g} seconds.") from None
        except EOFError:
            raise CallFailed("NoReply", "The system bus closed the connection.") from None
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else "no reason given"
            said, _, hint = text.partition("\n")
            if path.startswith(JOBS) and reply.error_name == f"{BUS}.Error.UnknownObject":
                said, hint = f"There is no job {_job_id(path)}.", _ID_HINT
            raise CallFailed(reply.error_name or "Failed", said, hint or _advice(reply.error_name))
        return list(reply.body)

    async def follow(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Yield a job's properties now and after each change, until it is over.

        It outlives a daemon that is restarted or killed: the next look starts another one.
        """
        rule = f"type='signal',sender='{NAME}',path='{path}',member='PropertiesChanged'"
        await self.call(BUS, "/org/freedesktop/DBus", BUS, "AddMatch", "s", rule)
        found: dict[str, Any] = {}
        while True:
            found = await self._look(path, known=bool(found))
            yield found
            if found["FinishedAt"]:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signals.get(), LOOK)
            while not self._signals.empty():
                self._signals.get_nowait()

    async def _look(self, path: str, *, known: bool) -> dict[str, Any]:
        """Look at a job, for a minute where the service does not answer: it may be restarting.

        A look that fails says nothing of the job, which goes on without a service.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.properties(path)
            except CallFailed as error:
                if error.name == "AccessDenied" or (error.name == "UnknownObject" and not known):
                    raise
                if time.monotonic() >= end or not self._bus.connected:
                    raise _lost(path, error) from error
            await asyncio.sleep(RETRY)

    def _take(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL and message.member == "PropertiesChanged":
            self._signals.put_nowait(message)
            return True
        return False


@asynccontextmanager
async def connected(*, ask: bool) -> AsyncIterator[Service]:
    """Connect to the system bus for the time of the block. Raises CallFailed.

    If ask, the person at the terminal is asked for a password where polkit wants one.
    """
    try:
        bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
    except (OSError, AuthError, InvalidAddressError, EOFError) as error:
        raise CallFailed(
            "ServiceUnknown",
            f"The system bus cannot be reached: {error}.",
            "Is dbus running? Without a system bus, use tools/sandbox.",
        ) from error
    interactive = ask and sys.stdin.isatty()
    try:
        with text_agent() if interactive and os.geteuid() else nullcontext():
            yield Service(bus, interactive=interactive)
    finally:
        bus.disconnect()  # type: ignore[no-untyped-call] # dbus-next leaves it untyped


def plain(value: Any) -> Any:
    """Return a D-Bus value without its variants, and safe to print."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def job_path(job: str) -> str:
    """Return the object path of a job that is given by id or path. Raises CallFailed."""
    name = job.removeprefix(JOBS).replace("-", "_")
    if not _JOB.fullmatch(name):
        raise CallFailed("InvalidArgs", f"'{one_line(job)}' is no job's id.", _ID_HINT)
    return JOBS + name


def _job_id(path: str) -> str:
    name = path.rpartition("/")[2]
    return name if name.startswith("u") else name.replace("_", "-")


def variants(values: Sequence[tuple[str, str, Any]]) -> dict[str, Variant]:
    """Return an options dictionary of (key, signature, value)."""
    return {key: Variant(signature, value) for key, signature, value in values}


def _lost(path: str, error: CallFailed) -> CallFailed:
    return CallFailed(
        "NoReply",
        f"The service does not answer any more: {error.message}",
        f"The job goes on without it. Follow it: xen2kvm follow {_job_id(path)}",
    )


def _advice(error_name: str | None) -> str:
    match (error_name or "").rpartition(".")[2]:
        case "ServiceUnknown":
            return "Is xen2kvm installed on this host? In a checkout, use tools/sandbox."
        case "InteractiveAuthorizationRequired" | "AccessDenied":
            return "Use sudo, or ask your administrator for a polkit rule (see xen2kvmd(8))."
        case _:
            return ""
