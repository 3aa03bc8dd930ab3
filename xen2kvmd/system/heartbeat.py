# SPDX-License-Identifier: GPL-2.0-or-later
"""Signs of life: what holds a disk on another host ends there when it hears no more of this one.

A host that loses its power, or its network, closes no connection: the sshd there waits for hours,
and with it what reads from it. So nobody need know that program, or find it, to be rid of it; also
where this host never comes back.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

EVERY = 5.0  # seconds between two signs
SILENCE = 60  # seconds without one, after which a program there ends
GONE = 90.0  # seconds after which it has written what it had, and is gone

# listen SECONDS: return when no sign comes for so long, or none will. `read` has no time limit in
# POSIX' sh.
LISTEN = r"""
listen() { while [ -n "$(timeout "$1" head -n 1)" ]; do :; done; }
"""


@contextmanager
def beating(stdin: IO[bytes]) -> Iterator[None]:
    """Give signs to a program that listens, for the time of the block."""
    over = threading.Event()

    def beat() -> None:
        with suppress(BrokenPipeError):  # it has ended: who reads what it prints will see
            while True:
                stdin.write(b"alive\n")
                stdin.flush()
                if over.wait(EVERY):
                    return

    thread = threading.Thread(target=beat, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
