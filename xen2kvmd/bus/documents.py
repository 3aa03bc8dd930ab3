# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents that callers wrote, each read in a process of its own.

Anybody may send one, and before polkit is asked: its rules decide by what is in it. So none is read
in the event loop, where it would hold up all callers, nor in the threads that write jobs; a process
can be ended, and a user has only so many.
"""

import asyncio
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import cattrs

from xen2kvmd.domain import SourceDomain
from xen2kvmd.errors import BY_NAME, Failed, LimitExceeded
from xen2kvmd.model import Finding, Request, Target
from xen2kvmd.system import command

log = logging.getLogger(__name__)

PROCESSES = 4
PROCESSES_PER_USER = 2
WAITING_PER_USER = 16
PATIENCE = 20.0  # seconds for a document; D-Bus callers wait for 25

_ARGV = (sys.executable, "-m", "xen2kvmd.bus.document_reader")


class Documents:
    """Reads and converts documents, a few at once."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(PROCESSES, thread_name_prefix="documents")
        self._asked: Counter[int] = Counter()
        self._places: dict[int, asyncio.Semaphore] = {}

    async def describe(self, request: Request, *, uid: int) -> SourceDomain:
        """Return the guest that a request's document describes, or the error that it is."""
        order = {"do": "describe", "request": cattrs.unstructure(request)}
        found = await self._ask(order, uid=uid)
        return cattrs.structure(found["domain"], SourceDomain)

    async def convert(
        self, form: str, document: str, target: Target, *, uid: int
    ) -> tuple[str, tuple[Finding, ...]]:
        """Return the domain XML for KVM, and all findings on the way to it."""
        order = {"form": form, "document": document, "target": cattrs.unstructure(target)}
        found = await self._ask({"do": "convert", **order}, uid=uid)
        return found["domain_xml"], cattrs.structure(found["findings"], tuple[Finding, ...])

    async def _ask(self, order: Mapping[str, Any], *, uid: int) -> Mapping[str, Any]:
        async with self._place(uid):
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, _read, json.dumps(order))
        if "error" in found:
            raise BY_NAME[found["error"]](found["message"], hint=found["hint"])
        return found

    @asynccontextmanager
    async def _place(self, uid: int) -> AsyncIterator[None]:
        """Wait for one of the user's places. Raises LimitExceeded where too many wait."""
        if self._asked[uid] >= WAITING_PER_USER:
            raise LimitExceeded(
                "Too many documents of yours are being read.", hint="Wait for those first."
            )
        self._asked[uid] += 1
        try:
            async with self._places.setdefault(uid, asyncio.Semaphore(PROCESSES_PER_USER)):
                yield
        finally:
            self._asked[uid] -= 1
            if not self._asked[uid]:
                del self._asked[uid], self._places[uid]


def _read(order: str) -> Mapping[str, Any]:
    """Let a process read it; called in a thread."""
    begun = time.monotonic()
    try:
        # systemd ends it with us. setpriv, which would, does not run without capabilities.
        answer = command.run(_ARGV, timeout=PATIENCE, stdin=order.encode(), with_us=False)
    except Failed as error:
        if time.monotonic() - begun < PATIENCE:
            raise RuntimeError(f"A document was not read: {error}") from error
        log.warning("A document was not read: %s", error)
        raise LimitExceeded(
            f"The document could not be read within {PATIENCE:g} seconds.",
            hint="A guest's description has a few kilobytes. If this one has, call again later.",
        ) from error
    found: Mapping[str, Any] = json.loads(answer)
    return found
