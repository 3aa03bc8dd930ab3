# SPDX-License-Identifier: GPL-2.0-or-later
"""So many descriptors are open at once, and so many keys read, whoever sends them."""

import asyncio
import os
from collections.abc import Awaitable

import pytest

from tests.bus.test_key_descriptors import memfd, sent
from xen2kvmd.bus import key_descriptors
from xen2kvmd.bus.descriptors import AT_ONCE, PER_CALLER, Descriptors
from xen2kvmd.bus.key_descriptors import KeyDescriptors
from xen2kvmd.bus.keys import Handed
from xen2kvmd.bus.service import Call
from xen2kvmd.errors import InvalidOption, LimitExceeded


async def test_a_user_has_so_many_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_descriptors, "WAITING_PER_USER", 3)
    monkeypatch.setattr(key_descriptors, "PATIENCE", 1.0)
    reader, taken = KeyDescriptors(), Descriptors()
    ours, theirs = os.pipe()
    brought = [taken.take(":1.1", [os.dup(ours)]) for _ in range(5)]

    def read(uid: int, number: int) -> Awaitable[object]:
        call = Call(":1.1", uid, "/", "Plan", brought[number])
        return reader.read(call, [Handed("all", 0, name="1")])

    with sent(ours, theirs):
        asked = (read(8, 0), read(8, 1), read(8, 2), read(8, 3), read(9, 4))
        said = await asyncio.gather(*asked, return_exceptions=True)
    late, many = InvalidOption, LimitExceeded
    assert [type(one) for one in said] == [late, late, late, many, late]
    for one in brought:
        one.close()
    with sent(memfd(b"hunter2")) as (descriptor,):
        brought[0] = taken.take(":1.1", [os.dup(descriptor)])
        assert await read(8, 0) == {"1": "hunter2"}
        brought[0].close()


def test_all_callers_have_so_many_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    taken = Descriptors()
    held = []
    with sent(memfd(b"")) as (descriptor,):
        for number in range(AT_ONCE // PER_CALLER):
            held.append(taken.take(f":1.{number}", [os.dup(descriptor) for _ in range(PER_CALLER)]))
        held[-1].check()
        more = taken.take(":1.999", [os.dup(descriptor)])
        with pytest.raises(LimitExceeded):
            more.check()
        held[0].close()
        held[0].close()
        held.append(taken.take(":1.999", [os.dup(descriptor)]))
        held[-1].check()
        for brought in held:
            brought.close()
    assert set(os.listdir("/proc/self/fd")) == before
