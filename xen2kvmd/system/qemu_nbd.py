# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that qemu-nbd(8) serves on a socket of this host, while we read or write it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from xen2kvmd.errors import Failed
from xen2kvmd.system.command import Running, running

SOCKET = "socket"  # in the folder


@contextmanager
def serving(folder: Path, image: Sequence[str], *, named: str) -> Iterator[Running]:
    """Serve an image, by its arguments, at a socket in a folder of our own, until the block ends.

    named is the disk for an error. Raises Failed if it cannot be opened.
    """
    ready = folder / "pid"
    listen = ("--socket", str(folder / SOCKET), "--pid-file", str(ready))
    with running(["qemu-nbd", "--persistent", *listen, *image]) as server:
        try:
            while not ready.exists():  # the socket is there before anybody listens
                server.check()
                time.sleep(0.01)
        except Failed as error:
            told = f"The disk {named} cannot be opened: {error.message}"
            raise Failed(told, said=error.said) from error
        yield server
