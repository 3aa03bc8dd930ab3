# SPDX-License-Identifier: GPL-2.0-or-later
"""The file descriptors that messages bring: counted, and closed, whatever becomes of the message.

Anybody can send some with any message, and neither library closes any (python-dbus-next issue 162).
A call keeps its memfds until its handler has looked at them; not while polkit asks a person, which
takes minutes. All others are closed when they come, and not looked into: who sends a file of a file
system of their own (FUSE) decides how long each call about it takes, fstat(2) too.

Even close(2) asks such a file system, and waits for it, also when we are killed. So each is closed
in a thread of its own, which leaves our table of descriptors as its first act: no program that we
begin inherits one of those. PID 1 of systemd does so, too (asynchronous_close). Where no more
threads can be had, they stay open until a thread is done: one is always there.

Their number has no bound of ours. What one kept out would stay in our table, fill that, and stop
each program that we begin, which closes what it inherits. And who can have a thousand threads wait
needs one descriptor to stop the whole bus: dbus-daemon closes what it passes on in its only loop.
"""

import fcntl
import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

from xen2kvmd.bus.fault import fault
from xen2kvmd.errors import LimitExceeded

log = logging.getLogger(__name__)

AT_ONCE = 400  # memfds of all callers; a process may have 1024 open
PER_CALLER = 16  # as many as the bus lets one message bring


class Brought:
    """The descriptors of one message, of which only memfds are kept."""

    def __init__(
        self,
        count: int,
        memfds: Mapping[int, int],
        close: Callable[[Collection[int]], None],
        *,
        taken: bool,
    ) -> None:
        """Own memfds, by their places among all; close() is for those that are not needed more."""
        self._count = count
        self._memfds = memfds
        self._close = close
        self._taken = taken

    def check(self) -> None:
        """Raise LimitExceeded where none was kept because there are too many."""
        if not self._taken:
            raise LimitExceeded(
                "Too many file descriptors are under way.",
                hint="Call again when those are read.",
            )

    def read(self, index: int, size: int) -> bytes:
        """Return what a memfd holds, size bytes at most; index is what an `h` in the body says.

        It is memory: nobody is waited for. Raises InvalidArgs where the message brings no such
        descriptor, ValueError where that is none of a memfd, and OSError.
        """
        if index >= self._count:
            raise fault("InvalidArgs", f"The call brings no file descriptor {index}.")
        if index not in self._memfds:
            raise ValueError("it is no memfd")
        return os.pread(self._memfds[index], size, 0)

    def close(self) -> None:
        """Begin to close them, once."""
        memfds, self._memfds = self._memfds, {}
        self._close(memfds.values())


class Descriptors:
    """Those of all messages under way, by the caller's name on the bus."""

    def __init__(self) -> None:
        self._kept: Counter[str] = Counter()
        self._closing = 0
        self._counting = threading.Lock()
        self._left = queue.SimpleQueue[int]()  # those that no thread could be had for
        threading.Thread(target=self._close_left, daemon=True).start()

    @property
    def closing(self) -> int:
        """How many are being closed: while a file system does not answer, we cannot even end."""
        return self._closing

    def take(self, sender: str, numbers: Sequence[int], *, keep: bool) -> Brought:
        """Keep the memfds that a message has brought, where there are not too many; close the rest.

        The libraries go on with the list that they gave the message: it is copied here.
        """
        count = len(numbers)
        fits = self._kept[sender] + count <= PER_CALLER and self._kept.total() + count <= AT_ONCE
        memfds = {}
        for index, number in enumerate(numbers):
            fcntl.fcntl(number, fcntl.F_SETFD, fcntl.FD_CLOEXEC)  # the libraries do not ask for it
            if keep and fits and is_memfd(number):
                memfds[index] = number
            else:
                self._begin_to_close(number)
        if memfds:
            self._kept[sender] += len(memfds)
        return Brought(count, memfds, partial(self._drop, sender), taken=fits)

    def _drop(self, sender: str, memfds: Collection[int]) -> None:
        for number in memfds:
            self._begin_to_close(number)
        self._kept[sender] -= len(memfds)
        if not self._kept[sender]:
            del self._kept[sender]

    def _begin_to_close(self, number: int) -> None:
        with self._counting:
            self._closing += 1
        try:
            threading.Thread(target=self._close, args=(number,), daemon=True).start()
        except RuntimeError as error:
            log.error("A file descriptor that somebody sent stays open for now: %s", error)
            self._left.put(number)

    def _close_left(self) -> None:
        """Close those that are left, for ever; called in the thread that is always there."""
        while True:
            self._close(self._left.get())

    def _close(self, number: int) -> None:
        """Close one, however long that takes, then those that are left; called in a thread."""
        left = [number]
        while left:
            with suppress(OSError):  # what its file system says to it; it is closed all the same
                os.close(left.pop())
            with self._counting:
                self._closing -= 1
            with suppress(queue.Empty):
                left.append(self._left.get_nowait())


def is_memfd(number: int) -> bool:
    """Tell whether it is one of a memfd, or of a file of tmpfs, which is the same to us.

    Only these have seals; the kernel says so without a word to any file system. fstat(2) would wait
    for whoever writes to a memfd just then, in some versions of Linux 6.
    """
    try:
        fcntl.fcntl(number, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True
