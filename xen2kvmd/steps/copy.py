# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy the converted disks to the target, in one pass that reads, hashes and writes."""

import cattrs

from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Volume
from xen2kvmd.steps import context, disks
from xen2kvmd.steps.shutdown import check_unchanged
from xen2kvmd.system import blocks
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import open_places


def do(run: Run) -> None:
    """Make each volume and fill it; note what was read as a digest.

    A volume is noted before it is made: nothing of that name was there when the plan was made, so
    what is there after a crash is ours.
    """
    request, plan = context.request(run), context.plan(run)
    volumes = []
    with connected() as host:
        places = open_places(request, host, [disk.source.dev for disk in plan.disks])
        for disk in plan.disks:
            place = places[disk.source.dev]
            place.volume(dev=disk.source.dev, name=disk.volume.name, disk_format=request.format)
            volumes.append(disk.volume)
            run.note("volumes", cattrs.unstructure(volumes))
            place.make(disk.volume, size=disk.source.size, allocation=request.allocation)
    for disk in plan.disks:
        disks.location(run, disk.source)  # where the overlay expects it
        overlay = str(context.overlay(run, disk.source.dev))
        digest = blocks.copy(overlay, "qcow2", disk.volume.path, disk.volume.format, run.progress)
        run.note(f"digest {disk.source.dev}", digest)
    disks.verify(run)
    check_unchanged(run)


def undo(run: Run) -> None:
    """Remove the volumes."""
    volumes = cattrs.structure(run.notes.get("volumes", []), list[Volume])
    with connected() as host:
        places = open_places(context.request(run), host, [disk.dev for disk in context.disks(run)])
        for volume in volumes:
            places[volume.dev].discard(volume)


COPY = Step("copy", do, undo, weight=30)
