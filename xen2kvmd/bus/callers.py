# SPDX-License-Identifier: GPL-2.0-or-later
"""Who calls, and whether they still wait."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from xen2kvmd.bus.connection import BUS, BUS_PATH, Connection
from xen2kvmd.bus.fault import BusError, CallerLeftError

Result = TypeVar("Result")

# One rule for all who leave: the bus allows a connection only so many rules, one per caller would
# let callers use them up.
_LEAVING = f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg2=''"


class Callers:
    """The connections that called us, as the bus vouches for them, until they leave it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._uids: dict[str, asyncio.Future[int]] = {}
        self._waiting: dict[str, set[asyncio.Task[Any]]] = {}

    async def start(self) -> None:
        await self._connection.listen("NameOwnerChanged", _LEAVING, self._owner_changed)

    async def uid(self, sender: str) -> int:
        """Return the user id of a caller. Raises CallerLeftError."""
        if sender not in self._uids:
            self._uids[sender] = asyncio.ensure_future(self._ask(sender))
        try:
            return await asyncio.shield(self._uids[sender])
        except (BusError, TimeoutError) as error:
            self._uids.pop(sender, None)
            raise CallerLeftError(f"{sender}: {error}") from error

    async def while_there(self, sender: str, work: Coroutine[Any, Any, Result]) -> Result:
        """Await work that is for the caller's sake alone; it is cancelled when the caller leaves.

        Raises CallerLeftError then.
        """
        if sender not in self._uids:  # it left since we learnt who it is
            work.close()
            raise CallerLeftError(sender)
        task = asyncio.ensure_future(work)
        tasks = self._waiting.setdefault(sender, set())
        tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if sender in self._waiting:
                raise
            raise CallerLeftError(sender) from None
        finally:
            tasks.discard(task)
            if not tasks and self._waiting.get(sender) is tasks:
                del self._waiting[sender]

    def known(self) -> int:
        """Count the callers that we remember."""
        return len(self._uids)

    async def _ask(self, sender: str) -> int:
        body = await self._connection.call(
            BUS, BUS_PATH, BUS, "GetConnectionCredentials", "s", [sender]
        )
        return int(body[0]["UnixUserID"].value)

    def _owner_changed(self, body: Sequence[Any]) -> None:
        name, _, new = body
        if not new:
            self._uids.pop(name, None)
            for task in self._waiting.pop(name, ()):
                task.cancel()
