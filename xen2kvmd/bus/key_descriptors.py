# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys that callers hand over as file descriptors: read before polkit is asked, and not kept here.

A program of its own reads them. Whoever has sent a descriptor still has the file that it is of: a
pipe may never be closed, and its end may block again whatever we say to it; a file system may be
one that its user answers for, or does not. The event loop would wait for it.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from xen2kvmd.bus.keys import Handed
from xen2kvmd.bus.service import Call
from xen2kvmd.errors import InvalidOption, LimitExceeded
from xen2kvmd.model import LONGEST_KEY
from xen2kvmd.steps.keys import passphrase
from xen2kvmd.system.apart import apart

PATIENCE = 10.0  # seconds for the keys of one call
AT_ONCE_PER_USER = 2  # programs; one that hangs in the kernel still counts
WAITING_PER_USER = 16  # calls

_ARGV = (sys.executable, "-m", "xen2kvmd.bus.key_reader", str(LONGEST_KEY + 2))


class KeyDescriptors:
    """Reads keys, those of a few calls at once."""

    def __init__(self) -> None:
        self._asked: Counter[int] = Counter()
        self._places: dict[int, asyncio.Semaphore] = {}

    async def read(self, call: Call, given: Sequence[Handed]) -> dict[str, str]:
        """Return the passphrases that a call brings, by the name that each is to have.

        Raises InvalidArgs for a descriptor that did not come, InvalidOption for what is in one, and
        LimitExceeded.
        """
        if not given:
            return {}
        with self._waiting(call.uid):
            descriptors = [call.brought.get(key.index) for key in given]
            place = self._places.setdefault(call.uid, asyncio.Semaphore(AT_ONCE_PER_USER))
            await place.acquire()
            return await _read(given, descriptors, place)

    @contextmanager
    def _waiting(self, uid: int) -> Iterator[None]:
        """Count a call of the user's. Raises LimitExceeded where too many wait."""
        if self._asked[uid] >= WAITING_PER_USER:
            raise LimitExceeded("Too many keys of yours are being read.", hint="Wait for those.")
        self._asked[uid] += 1
        try:
            yield
        finally:
            self._asked[uid] -= 1
            if not self._asked[uid]:
                del self._asked[uid]


async def _read(
    given: Sequence[Handed], descriptors: Sequence[int], place: asyncio.Semaphore
) -> dict[str, str]:
    """Let a program read them, and give the place back when it is gone."""
    found: dict[str, str] = {}
    argv = (*_ARGV, *map(str, descriptors))
    try:
        async with (
            asyncio.timeout(PATIENCE),
            apart(argv, descriptors=descriptors, ended=place.release) as said,
        ):
            for key in given:
                found[key.name] = _passphrase(key, json.loads(await said.readline()))
    except TimeoutError:
        raise InvalidOption(
            f"The key for {given[len(found)].selector} did not come within {PATIENCE:g} seconds.",
            hint="The writer of a pipe has to close it; a file system has to answer.",
        ) from None
    return found


def _passphrase(key: Handed, said: Mapping[str, str]) -> str:
    if "wrong" in said:
        raise InvalidOption(
            f"The descriptor of the key for {key.selector} cannot be used: {said['wrong']}.",
            hint="Send a file that is open for reading, a pipe, or a memfd.",
        )
    return passphrase(bytes.fromhex(said["holds"]), f"the key for {key.selector}")
