# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that do what may never end, begun from the event loop, which does not wait for them."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

LAST = 1.0  # seconds that the block waits for its killed program


@asynccontextmanager
async def apart(
    argv: Sequence[str], *, descriptors: Sequence[int], ended: Callable[[], None]
) -> AsyncIterator[asyncio.StreamReader]:
    """Run a program that has these descriptors, and give what it prints; it ends with the block.

    ended() is called when it is gone. That may be later: a program that waits in the kernel, for a
    file system that does not answer, is not even killed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, pass_fds=tuple(descriptors)
        )
    except BaseException:
        ended()
        raise
    waiting = asyncio.ensure_future(process.wait())
    waiting.add_done_callback(lambda _: ended())
    assert process.stdout
    try:
        yield process.stdout
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait({waiting}, timeout=LAST)
