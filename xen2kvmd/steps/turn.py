# SPDX-License-Identifier: GPL-2.0-or-later
"""The turn of a job to run virt-v2v: one at a time on a host, for its appliance takes 2.5 GB.

It is taken before the source is shut down, and kept until virt-v2v is done: another's may take
hours, for which a guest need not be down. It ends with the process that has it.
"""

import time
from dataclasses import dataclass
from typing import IO

from xen2kvmd.jobs.step import Run
from xen2kvmd.steps import context
from xen2kvmd.system import files


@dataclass(frozen=True)
class Turn:
    """What a job keeps while it is its turn."""

    lock: IO[str]


def take(run: Run) -> None:
    """Wait until no other job of this host has the turn; nothing happens if this one has it."""
    mine = run.take(Turn)
    if mine and not mine.lock.closed:
        return
    context.close_appliance(run)  # it has the memory that another's may need
    path = run.folder.parent.parent / "virt-v2v.lock"
    while (lock := files.try_lock(path)) is None:
        run.fraction(0.0, "waiting for another virt-v2v")
        time.sleep(1)
    run.keep(Turn(lock), lock.close)


def pass_on(run: Run) -> None:
    """Let another job have its turn."""
    if mine := run.take(Turn):
        mine.lock.close()
