# SPDX-License-Identifier: GPL-2.0-or-later
"""The file descriptors that messages bring: counted, and closed, whatever becomes of the message.

Anybody can send some with any message, and neither library closes any (python-dbus-next issue 162).
A call has its own until its handler has looked at it, which takes seconds; not while polkit asks a
person, which takes minutes.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Sequence

from xen2kvmd.bus.fault import fault
from xen2kvmd.errors import LimitExceeded

AT_ONCE = 400  # of all callers; a process may have 1024 open
PER_CALLER = 16  # as many as the bus lets one message bring


class Brought:
    """The descriptors of one message."""

    def __init__(self, numbers: Sequence[int], closed: Callable[[], None], *, taken: bool) -> None:
        """Own open descriptors, unless they were not taken; closed() is called when they are."""
        self._numbers = tuple(numbers)
        self._closed = closed
        self._taken = taken
        for number in self._numbers:
            fcntl.fcntl(number, fcntl.F_SETFD, fcntl.FD_CLOEXEC)  # the libraries do not ask for it
        if not taken:
            self.close()

    def check(self) -> None:
        """Raise LimitExceeded where they were closed because there are too many."""
        if not self._taken:
            raise LimitExceeded(
                "Too many file descriptors are under way.", hint="Call again when those are read."
            )

    def get(self, index: int) -> int:
        """Return the open descriptor that an `h` in the body means. Raises InvalidArgs."""
        if index >= len(self._numbers):
            raise fault("InvalidArgs", f"The call brings no file descriptor {index}.")
        return self._numbers[index]

    def close(self) -> None:
        """Close them, once."""
        numbers, self._numbers = self._numbers, ()
        for number in numbers:
            os.close(number)
        if numbers:
            self._closed()


class Descriptors:
    """Those of all messages under way, by the caller's name on the bus."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def take(self, sender: str, numbers: Sequence[int]) -> Brought:
        """Take those that a message has brought, or close them at once where there are too many.

        The libraries go on with the list that they gave the message: it is copied here.
        """
        count = len(numbers)
        fits = self._open[sender] + count <= PER_CALLER and self._open.total() + count <= AT_ONCE
        self._open[sender] += count

        def closed() -> None:
            self._open[sender] -= count
            self._forget(sender)

        brought = Brought(numbers, closed, taken=fits)
        self._forget(sender)
        return brought

    def _forget(self, sender: str) -> None:
        if not self._open[sender]:
            del self._open[sender]
