# SPDX-License-Identifier: GPL-2.0-or-later
"""Read each copied disk back and compare it with what was read from the source."""

from xen2kvmd.errors import VerifyFailed
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Volume
from xen2kvmd.steps import context, volumes
from xen2kvmd.system import blocks


def do(run: Run) -> None:
    """Compare the digests; the overlays are not needed any more and go.

    What is converted in place was not copied.
    """
    if context.request(run).in_place:
        return
    plan = context.plan(run)
    for disk in plan.disks:
        expected = run.notes[f"digest {disk.source.dev}"]
        _compare(run, disk.volume, f"disk '{disk.source.dev}'", disk.source.size, expected)
        run.result(f"digest-{disk.device}", expected)
        context.overlay(run, disk.source.dev).unlink(missing_ok=True)
    for file in plan.boot_files:
        name = f"{file.source.element} {file.source.path}"
        _compare(run, file.volume, name, file.source.size, file.source.digest)


def _compare(run: Run, volume: Volume, name: str, size: int, expected: str) -> None:
    """Read as much as was written: a logical volume is rounded up to whole extents."""
    with volumes.opened(run, volume) as (path, image_format):
        found = blocks.digest(path, image_format, run.progress, size=size)
    if found != expected:
        raise VerifyFailed(
            f"The copy of {name} differs from what was read: {found}, not {expected}.",
            hint="Look at the target's storage and memory: the kernel's log may tell more.",
        )


COMPARE = Step("compare", do, weight=10)
