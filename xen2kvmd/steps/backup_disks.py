# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the source's disks as they are after the shutdown, where that is asked (guide 15.2.2).

A folder of its own, or a libvirt pool, holds an image of each disk, the domain XML, and a manifest,
which is written last: without one there is no backup. Each image is read back, and its digest
compared with that of what was read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import cattrs

from xen2kvmd import domain
from xen2kvmd.errors import VerifyFailed
from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Backup, BackupPlace, Request, SavedDisk, SourceDisk
from xen2kvmd.steps import context, disks, mounts, reserve
from xen2kvmd.steps.headroom import watched
from xen2kvmd.steps.shutdown import check_unchanged
from xen2kvmd.system import blocks, files
from xen2kvmd.system import disk as images
from xen2kvmd.system.lanes import Work, done_in_lanes
from xen2kvmd.system.measure import Progress
from xen2kvmd.system.pace import Pace
from xen2kvmd.targets import backups
from xen2kvmd.targets.backups import CLAIM, DEVS, PLACE
from xen2kvmd.targets.room import check_room


def do(run: Run) -> None:
    """Copy each disk, read the copy back, and write the manifest."""
    request = context.request(run)
    if not is_asked(request):
        return
    found = context.disks(run)
    check_room(backups.needs(request, found))
    name = domain.read(context.document(run)).name
    sources = tuple(_sources(found))
    devs = [disk.dev for disk in sources]
    place, mark = backups.new_place(request, guest=name, job=run.id), uuid4().hex
    pace, saved, works = context.pace(run), [], []
    for disk in sources:
        where, image = disks.location(run, disk), place.image(disk.dev)
        size = images.size_of(where, disk.format)
        saved.append(SavedDisk(disk.dev, disk.path, disk.host, disk.format, size, "", image.name))
        work = partial(_save, disk, where, image, pace)
        works.append(Work(disk.dev, disks.lane(disk), size, work))
    if not place.pool:
        mounts.remember(run, [Path(place.folder).parent], note=mounts.BACKUP)
    run.note(PLACE, None)  # of an attempt that was undone
    run.note(CLAIM, {"place": cattrs.unstructure(place), "mark": mark})
    backups.claim(place, devs, mark=mark)
    run.note(DEVS, devs)
    run.note(PLACE, cattrs.unstructure(place))
    backups.make_images(place, ((disk.dev, disk.size) for disk in saved))
    with closing(done_in_lanes(works, watched(run, run.progress))) as done:
        digests = dict(done)
    disks.verify(run)
    check_unchanged(run)  # a guest that was started meanwhile has written into what was read
    files.write_atomic(place.document, context.document(run))
    whole = tuple(replace(disk, digest=digests[disk.dev]) for disk in saved)
    backup = Backup(name, run.id, now(), whole)
    text = json.dumps(cattrs.unstructure(backup), indent=1) + "\n"
    files.write_atomic(place.manifest, text)
    backups.release(place, mark=mark)
    backups.publish(place)
    run.result("backup-disks", str(place.manifest) if place.pool else place.folder)


def _save(disk: SourceDisk, where: str, image: Path, pace: Pace, progress: Progress) -> str:
    digest = blocks.copy(
        progress, source=(where, disk.format), target=(str(image), "qcow2"), pace=pace
    )
    if blocks.digest(str(image), "qcow2", progress) != digest:
        raise VerifyFailed(
            f"The backup of disk '{disk.dev}' differs from what was read.",
            hint=f"Look at the storage of {image.parent}: the kernel's log may tell more.",
        )
    return digest


def undo(run: Run) -> None:
    """Remove the backup: the source is as it was."""
    remove(run.notes)


def remove(notes: Mapping[str, Any]) -> bool:
    """Remove the backup that a job's notes tell of; tell whether there is one.

    Raises Failed where its file system is not mounted.
    """
    made, claimed = notes.get(PLACE), notes.get(CLAIM)
    if made or claimed:
        mounts.check(notes, note=mounts.BACKUP)
    if made:
        backups.remove(cattrs.structure(made, BackupPlace), notes[DEVS])
    if claimed:
        place = cattrs.structure(claimed["place"], BackupPlace)
        backups.release(place, mark=claimed["mark"])
    if made:
        backups.publish(cattrs.structure(made, BackupPlace))  # its claim was listed, too
    return bool(made)


def is_asked(request: Request) -> bool:
    """Tell whether the source's disks are to be backed up."""
    return bool(request.backup_disks or request.backup_pool)


def _sources(found: Iterable[SourceDisk]) -> Iterator[SourceDisk]:
    """Yield each disk as the source really has it: its volumes, where one is put together."""
    for disk in found:
        for part in disk.parts:
            yield SourceDisk(part.dev, part.path, "raw", part.size, 0, disk.host)
        if not disk.parts:
            yield disk


BACKUP_DISKS = Step(reserve.BACKED_UP, do, undo, weight=1)
