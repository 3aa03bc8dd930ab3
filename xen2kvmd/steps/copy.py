# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy the converted disks to the target, each in one pass that reads, hashes and writes."""

from contextlib import closing
from functools import partial
from pathlib import Path

import cattrs

from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import DiskFormat, PlannedDisk, Request, Volume
from xen2kvmd.steps import context, disks, mounts, reserve, volumes
from xen2kvmd.steps.convert import CONVERT, Converted
from xen2kvmd.steps.define import check_stopped
from xen2kvmd.steps.headroom import watched
from xen2kvmd.steps.shutdown import check_unchanged
from xen2kvmd.system import blocks
from xen2kvmd.system.lanes import Work, done_in_lanes
from xen2kvmd.system.ledger import Ledger
from xen2kvmd.system.measure import Progress
from xen2kvmd.system.pace import Pace
from xen2kvmd.targets import boot_place, in_place, open_places, ssh_address, target_host


def do(run: Run) -> None:
    """Make each volume and fill it; note what was read as a digest.

    An overlay of a process that died is of use where the stamps tell that its base is the same.
    Where they cannot, a guest may have run in between: it is converted anew.
    """
    if run.take(Converted) is None and not _all_show_writes(run):
        CONVERT.do(run)
    for disk in context.plan(run).disks:
        run.note(f"digest {disk.source.dev}", "")
        _ledger(run, disk.source.dev).unlink(missing_ok=True)
    if not context.request(run).in_place:
        reserve.more(run, {disk.source.dev: _count(run, disk) for disk in context.plan(run).disks})
    _make(run)
    _fill(run)


def go_on(run: Run) -> None:
    """Fill what is not filled yet; of a disk that was being filled, what its ledger lacks.

    A compressed cluster cannot be written twice: such a copy begins anew. So does one of a disk
    that does not show writes.
    """
    compressed = context.request(run).compress
    if "volumes-made" not in run.notes or compressed or not _all_show_writes(run):
        undo(run)
        do(run)
        return
    check_unchanged(run)
    if context.request(run).in_place:
        _put(run)
        return
    for volume in cattrs.structure(run.notes["volumes"], list[Volume]):
        volumes.mend(run, volume)
    _fill(run)


def _make(run: Run) -> None:
    """Make the volumes.

    A volume is noted before it is made: nothing of that name was there when the plan was made, so
    what is there after a crash is ours.
    """
    request, plan = context.request(run), context.plan(run)
    if not ssh_address(request):
        folders = (Path(volume.path).parent for volume in plan.volumes if not volume.pool)
        mounts.remember(run, folders, note=mounts.COPY)
    made = []
    with target_host(request) as host:
        places = open_places(request, host, context.disks(run))
        for disk in plan.disks:
            place = places[disk.source.dev]
            place.volume(dev=disk.source.dev, name=disk.volume.name, disk_format=request.format)
            made.append(disk.volume)
            run.note("volumes", cattrs.unstructure(made))
            place.make(
                disk.volume,
                size=disk.source.size,
                allocation=request.allocation,
                cluster_size=request.cluster_size,
            )
            volumes.erase(run, disk.volume)
        for file in plan.boot_files:
            place, volume = boot_place(places), file.volume
            place.volume(dev=volume.dev, name=volume.name, disk_format=DiskFormat.RAW)
            made.append(volume)
            run.note("volumes", cattrs.unstructure(made))
            place.make(volume, size=file.source.size, allocation=request.allocation)
    run.note("volumes-made", [volume.name for volume in made])


def _fill(run: Run) -> None:
    if context.request(run).in_place:
        _put(run)
        return
    request = context.request(run)
    pace, works = context.pace(run), []
    for disk in context.plan(run).disks:
        dev = disk.source.dev
        if not run.notes[f"digest {dev}"]:
            disks.location(run, disk.source)  # where the overlay expects it
            work = partial(_copy, run, disk, pace)
            works.append(Work(dev, _lane(request, disk), disk.source.most, work))
    with closing(done_in_lanes(works, watched(run, run.progress))) as copied:
        for dev, digest in copied:
            run.note(f"digest {dev}", digest)
    for file in context.plan(run).boot_files:
        copy = context.boot_copy(run, file.source.element)
        with volumes.opened(run, file.volume) as target:
            blocks.copy(run.progress, source=(str(copy), "raw"), target=target, pace=pace)
    disks.verify(run)
    check_unchanged(run)


def _count(run: Run, disk: PlannedDisk) -> int:
    """Return how many bytes of a disk, converted and trimmed, are copied at most."""
    disks.location(run, disk.source)  # where the overlay expects it
    return blocks.count(str(context.overlay(run, disk.source.dev)), "qcow2")


def _lane(request: Request, disk: PlannedDisk) -> str:
    """Return the lane of a copy (system/lanes.py): by its target's host, or by its source."""
    if disk.volume.ceph or ssh_address(request):
        return "the target's host"
    return disks.lane(disk.source)


def _copy(run: Run, disk: PlannedDisk, pace: Pace, progress: Progress) -> str:
    request, dev = context.request(run), disk.source.dev
    with volumes.opened(run, disk.volume, compressed=request.compress) as target:
        return blocks.copy(
            progress,
            source=(str(context.overlay(run, dev)), "qcow2"),
            target=target,
            ledger=Ledger(_ledger(run, dev)) if request.resume else None,
            compressed=request.compress and not ssh_address(request),
            pace=pace,
        )


def _all_show_writes(run: Run) -> bool:
    return all(disks.shows_writes(run, disk) for disk in context.disks(run))


def undo(run: Run) -> None:
    """Remove the volumes. Raises Failed where their file system is not mounted."""
    mounts.check(run.notes, note=mounts.COPY)
    made = cattrs.structure(run.notes.get("volumes", []), list[Volume])
    with target_host(context.request(run)) as host:
        check_stopped(run, host)
        places = open_places(context.request(run), host, context.disks(run))
        for volume in made:
            places.get(volume.dev, boot_place(places)).discard(volume)


def _put(run: Run) -> None:
    """Let the overlays be the new guest's disks, over the source's images."""
    check_unchanged(run)
    for disk in context.plan(run).disks:
        if not Path(disk.volume.path).exists():  # half of it was done before
            in_place.put(context.overlay(run, disk.source.dev), disk.volume, run.progress)


def _ledger(run: Run, dev: str) -> Path:
    return run.scratch / f"{dev}.copied"


COPY = Step(reserve.COPIED, do, undo, go_on, weight=30)
