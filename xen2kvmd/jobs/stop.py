# SPDX-License-Identifier: GPL-2.0-or-later
"""How a worker is told to end.

SIGTERM with the mark (a file `cancel` in the job folder) cancels: undo follows. SIGTERM without
it is a shutdown of the host: the worker just ends, and the job goes on at the next start.

Most of a worker's time is spent inside C calls (libguestfs, libnbd), where Python runs no signal
handler. So a thread waits for the signal and ends the worker's child processes; the call that used
them fails, and the main thread sees why.
"""

import os
import signal
import threading
from pathlib import Path

from xen2kvmd.system.command import terminate_children

REPEAT = 0.2  # seconds between two rounds: the main thread may start one more child before it looks


class Stop:
    """Watches for SIGTERM; made in the main thread, before any step runs."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark
        self._wanted = threading.Event()
        self._heeded = threading.Event()
        self._again = threading.Event()
        if mark.exists():
            self._wanted.set()
        self._read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)  # the wakeup descriptor tells the thread
        threading.Thread(target=self._watch, name="stop", daemon=True).start()

    def wanted(self) -> bool:
        """Tell whether the job is to end now."""
        return self._wanted.is_set()

    def marked(self) -> bool:
        """Tell whether somebody cancelled, as against a shutdown; the signal may be on its way."""
        return self._mark.exists()

    def shutdown(self) -> bool:
        """Tell whether the job is to end and to go on later, also while a cancel is carried out."""
        return self._again.is_set() or (self.wanted() and not self.marked())

    def heed(self) -> None:
        """Say that the steps have ended: children started from now on are those of undo."""
        self._heeded.set()

    def _watch(self) -> None:
        self._await_signal()
        self._wanted.set()
        while not self._heeded.wait(REPEAT):
            terminate_children()
        self._await_signal()
        self._again.set()

    def _await_signal(self) -> None:
        while os.read(self._read_end, 1)[0] != signal.SIGTERM:
            pass
