# SPDX-License-Identifier: GPL-2.0-or-later
"""A connection to libvirt that does not wait for ever: a libvirtd may hang, and its host live.

libvirt asks whether the other end is there (virConnectSetKeepAlive), which needs an event loop, and
begins once the connection is open. Until then a clock of ours is all there is. How long a call
itself may take is not limited: a volume may take hours to make.
"""

import threading
from concurrent.futures import Future
from contextlib import suppress
from functools import cache

import libvirt

from xen2kvmd.system.libvirt_errors import silent

OPENED = 60.0  # seconds for a connection; a login by ssh is made before
INTERVAL, COUNT = 10, 5  # seconds between two questions; how many may stay without an answer


def opened(uri: str, *, told: str) -> "libvirt.virConnect":
    """Connect to a libvirt; told is its URI as a message names it.

    Raises ConnectionFailed if it does not answer, and libvirtError.
    """
    _watch()
    libvirt.registerErrorHandler(lambda *_: None, None)  # it prints to stderr otherwise
    answer: Future[libvirt.virConnect] = Future()
    threading.Thread(target=_open, args=(uri, answer), name="libvirt open", daemon=True).start()
    try:
        connection = answer.result(OPENED)
    except TimeoutError as error:
        raise silent(told, seconds=OPENED) from error
    with suppress(libvirt.libvirtError):  # a driver in our own process has no other end
        connection.setKeepAlive(INTERVAL, COUNT)
    return connection


def _open(uri: str, answer: "Future[libvirt.virConnect]") -> None:
    """Connect in a thread of its own: one that waits for ever is left behind."""
    try:
        answer.set_result(libvirt.open(uri))
    except BaseException as error:
        answer.set_exception(error)


@cache
def _watch() -> None:
    """Run libvirt's event loop from now on; it must be there before the first connection."""
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run, name="libvirt events", daemon=True).start()


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
