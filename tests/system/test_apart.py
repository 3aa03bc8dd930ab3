# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that nobody waits for: its place is free when it is gone, whatever became of it."""

import asyncio
import os

import pytest

from xen2kvmd.system.apart import apart


async def test_it_has_the_descriptors_and_says_what_it_found() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"hello\n")
    gone = asyncio.Event()
    argv = ["head", "-n", "1", f"/dev/fd/{ours}"]
    async with apart(argv, descriptors=[ours], ended=gone.set) as said:
        assert await said.readline() == b"hello\n"
    assert gone.is_set()
    for descriptor in (ours, theirs):
        os.close(descriptor)


async def test_it_ends_with_the_block() -> None:
    gone = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with (
            asyncio.timeout(0.2),
            apart(["sleep", "600"], descriptors=[], ended=gone.set) as said,
        ):
            await said.readline()
    assert gone.is_set()


async def test_one_that_cannot_be_started_has_ended() -> None:
    gone: list[bool] = []
    with pytest.raises(FileNotFoundError):
        async with apart(["/no/such"], descriptors=[], ended=lambda: gone.append(True)):
            pass
    assert gone == [True]
