# SPDX-License-Identifier: GPL-2.0-or-later
"""A limit on data per second. Zeroes are none: they are not copied, and few come over ssh."""

import threading
import time
from collections.abc import Callable

LOOK = 0.5  # seconds that a copy which is too fast waits before it looks again


class Pace:
    """A rate in bytes per second, 0: as fast as it goes. Threads may share it."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._due = 0.0

    def wait(self, count: int, look: Callable[[], None]) -> None:
        """Wait as long as so many bytes take; look() is called meanwhile, and may raise."""
        if not self.rate:
            return
        with self._lock:
            self._due = due = max(self._due, time.monotonic()) + count / self.rate
        while (ahead := due - time.monotonic()) > 0:
            time.sleep(min(ahead, LOOK))
            look()


UNPACED = Pace(0)
