# SPDX-License-Identifier: GPL-2.0-or-later
"""The dispatcher: a call comes in, is checked against the contract, is authorised, is done.

A handler is a plain function that looks at the arguments, changes nothing, and returns a Guarded:
the action that guards the call, and what to do. Where looking takes long it is a coroutine, and
looks outside of the event loop. Only the dispatcher does it, after polkit said yes; so there is no
way to export a method that forgets to ask. What is checked before authorisation is checked again
when it is done: minutes may lie between.

We use the library's messages only. Its own way to export objects hides the caller, sends
tracebacks to anybody and announces objects from the wrong path.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from xen2kvmd.bus import standard
from xen2kvmd.bus.callers import Callers
from xen2kvmd.bus.connection import Connection
from xen2kvmd.bus.contract import ContractError, Interface
from xen2kvmd.bus.descriptors import Brought
from xen2kvmd.bus.fault import BusError, CallerLeftError, fault
from xen2kvmd.bus.library import Message, MessageFlag, Variant
from xen2kvmd.bus.packed import Entries, Packed
from xen2kvmd.bus.polkit import Action, Authority
from xen2kvmd.errors import PREFIX, Internal, MigrationError, ShuttingDown

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """Who calls what: as the bus says, not as the caller says.

    What it has brought is there for the handler alone, and closed before polkit is asked.
    """

    sender: str
    uid: int
    path: str
    member: str
    brought: Brought


@dataclass(frozen=True)
class Guarded:
    """What a call would do, and the action that guards it.

    details are what polkit's dialogs and rules know of the call; quiet forbids dialogs. also are
    further actions, all of which the caller must be allowed.
    """

    action: Action
    do: Callable[[], Awaitable[list[Any]]]
    details: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False
    also: tuple[Action, ...] = ()


Handler = Callable[..., Guarded | Awaitable[Guarded]]


class Exported(Protocol):
    """An object on the bus with one interface of ours."""

    @property
    def path(self) -> str: ...
    @property
    def interface(self) -> str: ...
    @property
    def handlers(self) -> Mapping[str, Handler]: ...
    @property
    def setters(self) -> Mapping[str, Handler]: ...
    def properties(self) -> Mapping[str, object]: ...


class Managed(Exported, Protocol):
    """One that the root manages; when its properties change, its status is another object."""

    @property
    def status(self) -> object: ...


class Service:
    """The objects that we export, and the calls under way."""

    def __init__(
        self,
        connection: Connection,
        contract: Mapping[str, Interface],
        *,
        root: str,
        authority: Authority,
        callers: Callers,
    ) -> None:
        self.connection = connection
        self.contract = contract
        self.root = root
        self.objects: dict[str, Exported] = {}
        self._checked: set[type] = set()
        self.open = asyncio.Event()  # until then calls wait
        self.calls = 0  # that ever came
        self._authority = authority
        self._callers = callers
        self._tasks: set[asyncio.Task[None]] = set()
        self._managed: dict[str, Managed] = {}  # of the objects, those below the root
        self._entries = Entries(standard.MANAGED, self.values)

    # --- objects ----------------------------------------------------------------------------------

    def manage(self, exported: Managed, *, announce: bool = True) -> None:
        """Put an object on the bus that the root manages. Raises ContractError, as export does.

        Those that are there from the beginning are not announced: who manages objects reads all of
        them when a name gets its owner (D-Bus specification, ObjectManager).
        """
        self.export(exported)
        self._managed[exported.path] = exported
        if announce:
            body = [exported.path, self.values(exported)]
            self._manager_signal("InterfacesAdded", "oa{sa{sv}}", body)

    def export(self, exported: Exported) -> None:
        """Put an object on the bus. Raises ContractError where it is not what the XML says.

        The first of its class is looked at: all properties of 10,000 jobs take a second to make.
        """
        if type(exported) not in self._checked:
            self.contract[exported.interface].check(
                methods=exported.handlers,
                properties=exported.properties(),
                settable=exported.setters,
            )
            self._checked.add(type(exported))
        self.objects[exported.path] = exported

    def unmanage(self, exported: Managed) -> None:
        """Take an object off the bus."""
        del self.objects[exported.path], self._managed[exported.path]
        self._entries.forget(exported.path)
        self._manager_signal("InterfacesRemoved", "oas", [exported.path, [exported.interface]])

    async def managed(self) -> Packed:
        """Return what GetManagedObjects answers."""
        return await self._entries.pack(self._managed)

    def values(self, exported: Exported) -> dict[str, dict[str, Variant]]:
        """Return a{sa{sv}}: the properties by interface."""
        types = self.contract[exported.interface].properties
        properties = exported.properties()
        return {
            exported.interface: {
                name: Variant(types[name].type, value) for name, value in properties.items()
            }
        }

    def changed(self, exported: Exported, names: Iterable[str]) -> None:
        """Broadcast PropertiesChanged, with values or without as the XML says."""
        types = self.contract[exported.interface].properties
        values = self.values(exported)[exported.interface]
        sent = {name: values[name] for name in names if types[name].emits == "true"}
        invalidated = [name for name in names if types[name].emits == "invalidates"]
        if sent or invalidated:
            self._emit(
                exported.path,
                standard.PROPERTIES,
                "PropertiesChanged",
                "sa{sv}as",
                [exported.interface, sent, invalidated],
            )

    def emit(self, exported: Exported, signal: str, *body: object) -> None:
        """Broadcast a signal of the object's interface."""
        signature = self.contract[exported.interface].signals[signal]
        self._emit(exported.path, exported.interface, signal, signature, list(body))

    def _manager_signal(self, member: str, signature: str, body: list[Any]) -> None:
        self._emit(self.root, standard.OBJECT_MANAGER, member, signature, body)

    def _emit(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> None:
        """Broadcast; a value that D-Bus does not take costs this signal only."""
        try:
            self.connection.emit(path, interface, member, signature, body)
        except Exception:
            log.exception("The signal %s.%s could not be sent", interface, member)

    # --- calls ------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return bool(self._tasks or self.connection.closing)

    def take(self, message: Message, brought: Brought) -> None:
        """Begin to answer a call."""
        self.calls += 1
        task = asyncio.get_running_loop().create_task(self._answer(message, brought))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: brought.close())

    async def drain(self, *, grace: float) -> None:
        """Wait some seconds for the calls under way; those left get ShuttingDown."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _answer(self, message: Message, brought: Brought) -> None:
        """Answer one call: the last catch of everything."""
        try:
            brought.check()
            await self.open.wait()
            signature, body = await self._perform(message, brought)
            self.connection.reply(message, signature, body)
        except CallerLeftError:
            log.debug("%s left before %s was answered", message.sender, message.member)
        except BusError as error:
            self.connection.refuse(message, error.name, error.text)
        except MigrationError as error:
            self.connection.refuse(message, PREFIX + error.name, str(error))
        except asyncio.CancelledError:
            ending = ShuttingDown("The service is ending; call again.")
            self.connection.refuse(message, PREFIX + ending.name, str(ending))
        except Exception:
            log.exception("%s.%s failed", message.interface, message.member)
            internal = Internal("This is a fault of xen2kvmd; see the journal.")
            self.connection.refuse(message, PREFIX + internal.name, str(internal))

    async def _perform(self, message: Message, brought: Brought) -> tuple[str, list[Any] | Packed]:
        found = standard.find(self, message)
        if found:
            _check_types(message, found.takes)
            if message.member == "Set":
                return found.gives, await self._set(message, brought)
            done = found.do(self, message)
            return found.gives, done if isinstance(done, list) else await done
        exported = self.objects.get(message.path)
        if exported is None:
            raise fault("UnknownObject", f"There is no object {message.path}.")
        if message.interface not in (None, "", exported.interface):
            raise fault("UnknownInterface", f"{message.path} has no {message.interface}.")
        method = self.contract[exported.interface].methods.get(message.member)
        if method is None:
            raise fault("UnknownMethod", f"{exported.interface} has no method {message.member}.")
        _check_types(message, method.takes)
        handler = exported.handlers[message.member]
        body = await self._guard(message, brought, method.actions, handler, *message.body)
        return method.gives, body

    async def _set(self, message: Message, brought: Brought) -> list[Any]:
        name = standard.settable(self, message)
        exported = self.objects[message.path]
        actions = self.contract[exported.interface].properties[name].actions
        setter = exported.setters[name]
        return await self._guard(message, brought, actions, setter, message.body[2].value)

    async def _guard(
        self,
        message: Message,
        brought: Brought,
        actions: frozenset[Action],
        handler: Handler,
        *body: Any,
    ) -> list[Any]:
        """Ask polkit whether the caller may have this done, and do it."""
        uid = await self._callers.uid(message.sender)
        call = Call(message.sender, uid, message.path, message.member, brought)
        looked = handler(call, *body)
        guarded = looked if isinstance(looked, Guarded) else await looked
        brought.close()
        may_ask = bool(message.flags & MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION)
        for action in (guarded.action, *guarded.also):
            if action not in actions:
                raise ContractError(f"{message.member} is guarded by {action}, says the code.")
            if action not in (Action.NONE, Action.OWNER):
                await self._authority.check(
                    message.sender,
                    action,
                    guarded.details,
                    uid=uid,
                    ask=may_ask and not guarded.quiet,
                )
        return await guarded.do()


def _check_types(message: Message, takes: str) -> None:
    if message.signature != takes:
        raise fault(
            "InvalidArgs", f"{message.member} takes ({takes}), and got ({message.signature})."
        )
