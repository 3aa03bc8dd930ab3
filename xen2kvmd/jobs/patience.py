# SPDX-License-Identifier: GPL-2.0-or-later
"""Doing again what failed because a host, or its libvirt, was out of reach.

It may be so for the same reason that the job failed for, or because this host has just started.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from xen2kvmd.errors import ConnectionFailed

SECONDS = 1800.0  # for which a job waits, in all, before it leaves something to a person
PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries: each pause is twice the one before
TICK = 1.0  # seconds between two looks whether to wait on

log = logging.getLogger(__name__)


def limit() -> float:
    """Return the end of the time that begins now, as time.monotonic() has it."""
    return time.monotonic() + SECONDS


def patiently(work: Callable[[], None], *, until: float, waiting: Callable[[str], None]) -> None:
    """Do the work; repeat it while it fails with ConnectionFailed, until the time is over.

    waiting() is called each second with the reason; what it raises ends the waiting. Raises
    ConnectionFailed when the time is over, and whatever else goes wrong at once.
    """
    pause = PAUSE
    while True:
        try:
            return work()
        except ConnectionFailed as error:
            if time.monotonic() + pause > until:
                raise
            log.warning("To be tried again in %g seconds: %s", pause, error)
            _wait(pause, partial(waiting, error.message))
        pause = min(2 * pause, LONGEST_PAUSE)


def _wait(seconds: float, waiting: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    waiting()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(TICK, left))
        waiting()
