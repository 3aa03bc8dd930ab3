# SPDX-License-Identifier: GPL-2.0-or-later
"""The turn of a job to run virt-v2v: one at a time on a host, for its appliance takes 2.5 GB.

It is taken before the source is shut down, and kept until virt-v2v is done: another's may take
hours, for which a guest need not be down. It ends with the process that has it.
"""

import time
from dataclasses import dataclass
from typing import IO

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs.step import Run
from xen2kvmd.system import files


@dataclass(frozen=True)
class Turn:
    """What a job keeps while it is its turn."""

    lock: IO[str]


def take(run: Run) -> None:
    """Wait until no other job of this host has the turn; closing it lets another have it."""
    if run.take(Turn):
        return
    run.close(Appliance)  # it has the memory that another's may need
    path = run.folder.parent.parent / "virt-v2v.lock"
    while (lock := files.try_lock(path)) is None:
        run.fraction(0.0, "waiting for another virt-v2v")
        time.sleep(1)
    run.keep(Turn(lock), lock.close)
