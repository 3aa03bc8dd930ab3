# SPDX-License-Identifier: GPL-2.0-or-later
"""Make sure that the source guest does not run (guide 15.2.5 (1))."""

import cattrs

from xen2kvmd.errors import VmRunning
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.sources import open_source
from xen2kvmd.steps import context
from xen2kvmd.steps.inspect import stamp
from xen2kvmd.system import disk as images


def do(run: Run) -> None:
    """Shut the guest down if the source can; refuse disks that somebody writes to."""
    finding = open_source(context.request(run)).shut_down()
    run.finding(cattrs.unstructure(finding))
    for disk in context.disks(run):
        images.check_unlocked(disk.path)
    check_unchanged(run)


def check_unchanged(run: Run) -> None:
    """Raise VmRunning if a disk was written to since it was inspected."""
    for disk in context.disks(run):
        if stamp(disk.path) != run.notes["stamps"][disk.dev]:
            raise VmRunning(
                f"The disk {disk.path} was written to since the job began.",
                hint="Shut the source guest down, see that nothing starts it, and migrate again.",
            )


SHUTDOWN = Step("shutdown", do, weight=1)
