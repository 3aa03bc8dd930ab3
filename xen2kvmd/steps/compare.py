# SPDX-License-Identifier: GPL-2.0-or-later
"""Read each copied disk back and compare it with what was read from the source."""

from xen2kvmd.errors import VerifyFailed
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.steps import context, volumes
from xen2kvmd.system import blocks


def do(run: Run) -> None:
    """Compare the digests; the overlays are not needed any more and go.

    What is converted in place was not copied.
    """
    if context.request(run).in_place:
        return
    for disk in context.plan(run).disks:
        expected = run.notes[f"digest {disk.source.dev}"]
        with volumes.opened(run, disk.volume) as (path, image_format):
            found = blocks.digest(path, image_format, run.progress)
        if found != expected:
            raise VerifyFailed(
                f"The copy of disk '{disk.source.dev}' differs from what was read: {found}, not "
                f"{expected}.",
                hint="Look at the target's storage and memory: the kernel's log may tell more.",
            )
        run.result(f"digest-{disk.device}", found)
        context.overlay(run, disk.source.dev).unlink(missing_ok=True)


COMPARE = Step("compare", do, weight=10)
