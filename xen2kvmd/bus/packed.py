# SPDX-License-Identifier: GPL-2.0-or-later
"""A long reply of parts that were marshalled before.

The reply to GetManagedObjects is a dictionary with an entry for each job. The libraries marshal it
anew for each caller, in the event loop: 2.5 s for 10,000 jobs. An entry begins at a multiple of 8
bytes (D-Bus specification, "Marshaling"), so its bytes are the same wherever it stands.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from xen2kvmd.bus.library import Message
from xen2kvmd.bus.variants import clean

AT_ONCE = 50  # entries that are marshalled before others get their turn
_ALIGNED = 8  # bytes


class Source(Protocol):
    """What an entry is made of: one with the same status has the same entry."""

    @property
    def path(self) -> str: ...
    @property
    def status(self) -> object: ...


@dataclass(frozen=True)
class Packed:
    """The body of a reply: a dictionary, marshalled."""

    data: bytes


class Entries:
    """The entries of all objects, each kept until its object changes."""

    def __init__(self, signature: str, value: Callable[[Any], Any]) -> None:
        """Keep entries of a dictionary of this type: of each object its path and value(object)."""
        self._signature = signature
        self._value = value
        self._kept: dict[str, tuple[object, bytes]] = {}

    async def pack(self, objects: Mapping[str, Source]) -> Packed:
        """Return the dictionary of the objects as they are at the end of this call.

        What is new is marshalled a little at a time. The rest comes in one go: a change between
        two parts would be told by a signal before the reply, and be undone by it.
        """
        new = [source for source in objects.values() if not self._has(source)]
        for number, source in enumerate(new):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            if source.path in objects:
                self._entry(source)
        return Packed(_dictionary(map(self._entry, objects.values())))

    def forget(self, path: str) -> None:
        """Forget an object."""
        self._kept.pop(path, None)

    def _has(self, source: Source) -> bool:
        return source.path in self._kept and self._kept[source.path][0] is source.status

    def _entry(self, source: Source) -> bytes:
        if not self._has(source):
            body = clean([{source.path: self._value(source)}])
            data = _body(Message.new_signal("/", "a.b", "c", self._signature, body))
            self._kept[source.path] = (source.status, data[_ALIGNED:])  # after the length
        return self._kept[source.path][1]


class Ready:
    """A reply as the writers of both libraries take it: they ask a message for no more."""

    unix_fds = None

    def __init__(self, call: Message, signature: str, body: Packed, *, serial: int) -> None:
        """Answer a call with a dictionary of this type."""
        empty = Message.new_method_return(call, signature, [{}])
        empty.serial = serial
        whole = _marshalled(empty)
        self._head = bytearray(whole[: len(whole) - len(_body(empty))])
        struct.pack_into("<I", self._head, 4, len(body.data))
        self._data = body.data

    def _marshall(self, *_descriptors: bool, **_named: bool) -> bytes:
        return bytes(self._head) + self._data


def _dictionary(entries: Iterable[bytes]) -> bytes:
    """Return an array of entries: its length, and each at a multiple of 8 bytes."""
    data = bytearray(_ALIGNED)
    for entry in entries:
        data += bytes(-len(data) % _ALIGNED)
        data += entry
    struct.pack_into("<I", data, 0, len(data) - _ALIGNED)
    return bytes(data)


def _body(message: Message) -> bytes:
    whole = _marshalled(message)
    return whole[len(whole) - struct.unpack_from("<I", whole, 4)[0] :]


def _marshalled(message: Any) -> bytes:
    """Let the library marshal a message; in this it touches its privates, too."""
    message.serial = message.serial or 1
    return bytes(message._marshall(negotiate_unix_fd=False))
