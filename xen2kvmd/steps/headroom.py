# SPDX-License-Identifier: GPL-2.0-or-later
"""Look at what is free while a copy runs of which nobody knows how much room it takes.

It ends while there is some left, and the job undoes it: a store that runs full stops other guests,
whose disks grow there, and takes what other jobs have reserved.
"""

import time

from xen2kvmd.errors import InsufficientSpace
from xen2kvmd.jobs.step import Run
from xen2kvmd.steps.reserve import UNCERTAIN_STORES, headroom
from xen2kvmd.system.measure import Progress
from xen2kvmd.words import amount

SPARE = 256 << 20  # bytes that are left to others
EVERY = 10.0  # seconds between two looks: others write, too


def watched(run: Run, progress: Progress) -> Progress:
    """Return what a copy tells its progress, which raises InsufficientSpace in time."""
    return _Watch(run, progress).tell if run.notes.get(UNCERTAIN_STORES) else progress


class _Watch:
    """Looks again when half of what was free may be written, and every few seconds."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run, self._progress = run, progress
        self._done = self._soon = 0
        self._at = time.monotonic() - EVERY

    def tell(self, done: int, total: int) -> None:
        if abs(done - self._done) >= self._soon or time.monotonic() >= self._at + EVERY:
            self._look()
            self._done, self._at = done, time.monotonic()
        self._progress(done, total)

    def _look(self) -> None:
        left = headroom(self._run)
        if left < SPARE:
            where = " and ".join(self._run.notes[UNCERTAIN_STORES])
            raise InsufficientSpace(
                f"The copy takes more than is free on {where}: {amount(max(left, 0))} are left "
                "beside what other jobs have reserved.",
                hint="Make room, or choose another pool or directory. What zeroes the guest's "
                "unused space, or gives it to a file system, makes the copy smaller.",
            )
        self._soon = (left - SPARE) // 2
