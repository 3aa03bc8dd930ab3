# SPDX-License-Identifier: GPL-2.0-or-later
"""Have what the job needs of this host before its source goes down."""

from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.steps import engine, turn
from xen2kvmd.targets.room import check_room


def do(run: Run) -> None:
    """Wait for the job's turn of virt-v2v, if it needs one, then look at the room once more.

    Raises InsufficientSpace.
    """
    if engine.is_v2v(run):
        turn.take(run)
    check_room(engine.needs(run))


RESERVE = Step("reserve", do, weight=1)
