# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the source's disks as they are after the shutdown, where that is asked (guide 15.2.2).

A folder of its own holds an image of each disk, the domain XML, and a manifest, which is written
last: a folder without one is no backup. Each image is read back, and its digest compared with that
of what was read.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import cattrs

from xen2kvmd import domain
from xen2kvmd.errors import InsufficientSpace, InvalidOption, VerifyFailed
from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Backup, Request, SavedDisk, SourceDisk
from xen2kvmd.steps import context, disks
from xen2kvmd.steps.shutdown import check_unchanged
from xen2kvmd.system import blocks, files
from xen2kvmd.system import disk as images
from xen2kvmd.system.lanes import Work, done_in_lanes
from xen2kvmd.system.pace import Pace
from xen2kvmd.words import amount

MANIFEST = "manifest.json"
DOCUMENT = "domain.xml"


def check_room(request: Request, found: Iterable[SourceDisk]) -> None:
    """Raise InvalidOption or InsufficientSpace where a backup that is asked for has no place."""
    if not request.backup_disks:
        return
    folder = Path(request.backup_disks)
    if not folder.is_dir():
        raise InvalidOption(f"'{folder}' is no directory.", hint="Make it first.")
    free, needed = files.free(folder), sum(disk.allocated for disk in found)
    if free < needed:
        raise InsufficientSpace(
            f"The backup of the disks needs {amount(needed)}, and {folder} has {amount(free)}.",
            hint="Make room, or name another directory.",
        )


def do(run: Run) -> None:
    """Copy each disk, read the copy back, and write the manifest."""
    request = context.request(run)
    if not request.backup_disks:
        return
    found = context.disks(run)
    check_room(request, found)
    name = domain.read(context.document(run)).name
    folder = Path(request.backup_disks) / f"{name}-{run.id}"
    run.note("backup-folder", str(folder))
    folder.mkdir(mode=0o700)
    pace, saved, works = context.pace(run), [], []
    for disk in _sources(found):
        where = disks.location(run, disk)
        size = images.size_of(where, disk.format)
        image = folder / f"{disk.dev}.qcow2"
        images.make_image(image, image_format="qcow2", size=size, preallocated=False)
        saved.append(SavedDisk(disk.dev, disk.path, disk.host, disk.format, size, "", image.name))
        work = partial(_save, disk, where, image, pace)
        works.append(Work(disk.dev, disks.lane(disk), size, work))
    with closing(done_in_lanes(works, run.progress)) as done:
        digests = dict(done)
    disks.verify(run)
    check_unchanged(run)  # a guest that was started meanwhile has written into what was read
    files.write_atomic(folder / DOCUMENT, context.document(run))
    whole = tuple(replace(disk, digest=digests[disk.dev]) for disk in saved)
    backup = Backup(name, run.id, now(), whole)
    text = json.dumps(cattrs.unstructure(backup), indent=1) + "\n"
    files.write_atomic(folder / MANIFEST, text)
    run.result("backup-disks", str(folder))


def _save(disk: SourceDisk, where: str, image: Path, pace: Pace, progress: blocks.Progress) -> str:
    digest = blocks.copy(where, disk.format, str(image), "qcow2", progress, pace=pace)
    if blocks.digest(str(image), "qcow2", progress) != digest:
        raise VerifyFailed(
            f"The backup of disk '{disk.dev}' differs from what was read.",
            hint=f"Look at the storage of {image.parent}: the kernel's log may tell more.",
        )
    return digest


def undo(run: Run) -> None:
    """Remove the backup: the source is as it was."""
    if "backup-folder" in run.notes:
        with suppress(FileNotFoundError):
            shutil.rmtree(run.notes["backup-folder"])


def _sources(found: Iterable[SourceDisk]) -> Iterator[SourceDisk]:
    """Yield each disk as the source really has it: its volumes, where one is put together."""
    for disk in found:
        for part in disk.parts:
            yield SourceDisk(part.dev, part.path, "raw", part.size, 0, disk.host)
        if not disk.parts:
            yield disk


BACKUP_DISKS = Step("backup-disks", do, undo, weight=1)
