# SPDX-License-Identifier: GPL-2.0-or-later
"""An end for what hangs: a call of the appliance that takes too long ends with its QEMU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from xen2kvmd.errors import Failed


class Watchdog:
    """Calls kill() when a block exceeds its time limit; each limit is multiplied by patience."""

    def __init__(self, kill: Callable[[], None], *, patience: float = 1.0) -> None:
        self._kill = kill
        self._patience = patience
        self._dead = ""  # why it was killed

    @property
    def bitten(self) -> bool:
        """Tell whether the process was killed."""
        return bool(self._dead)

    @contextmanager
    def limit(self, seconds: float, what: str) -> Iterator[None]:
        """Raise Failed if the block is not left in time; it has to fail when the process ends."""
        if self._dead:
            raise Failed(self._dead)
        seconds *= self._patience
        timer = Timer(seconds, self._bite, (f"{what} was not done after {seconds:g} seconds.",))
        timer.daemon = True
        timer.start()
        try:
            yield
        except RuntimeError as error:
            if self._dead:
                raise Failed(self._dead) from error
            raise
        finally:
            timer.cancel()

    def _bite(self, why: str) -> None:
        self._dead = why
        self._kill()
