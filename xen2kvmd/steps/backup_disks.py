# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the source's disks as they are after the shutdown, where that is asked (guide 15.2.2).

A folder of its own holds an image of each disk, the domain XML, and a manifest, which is written
last: a folder without one is no backup. Each image is read back, and its digest compared with that
of what was read.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
    saved, pace = [], context.pace(run)
    for dev, path, host, image_format, where in _sources(run, found):
        image = folder / f"{dev}.qcow2"
        size = images.size_of(where, image_format)
        images.make_image(image, image_format="qcow2", size=size, preallocated=False)
        digest = blocks.copy(where, image_format, str(image), "qcow2", run.progress, pace=pace)
        if blocks.digest(str(image), "qcow2", run.progress) != digest:
            raise VerifyFailed(
                f"The backup of disk '{dev}' differs from what was read.",
                hint=f"Look at the storage of {folder}: the kernel's log may tell more.",
            )
        saved.append(SavedDisk(dev, path, host, image_format, size, digest, image.name))
    disks.verify(run)
    check_unchanged(run)  # a guest that was started meanwhile has written into what was read
    files.write_atomic(folder / DOCUMENT, context.document(run))
    backup = Backup(name, run.id, now(), tuple(saved))
    text = json.dumps(cattrs.unstructure(backup), indent=1) + "\n"
    files.write_atomic(folder / MANIFEST, text)
    run.result("backup-disks", str(folder))


def undo(run: Run) -> None:
    """Remove the backup: the source is as it was."""
    if "backup-folder" in run.notes:
        with suppress(FileNotFoundError):
            shutil.rmtree(run.notes["backup-folder"])


def _sources(run: Run, found: Iterable[SourceDisk]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield name, path, host and format of each disk that the source really has, and its place."""
    for disk in found:
        for part in disk.parts:
            volume = SourceDisk(part.dev, part.path, "raw", part.size, 0, disk.host)
            yield part.dev, part.path, disk.host, "raw", disks.location(run, volume)
        if not disk.parts:
            yield disk.dev, disk.path, disk.host, disk.format, disks.location(run, disk)


BACKUP_DISKS = Step("backup-disks", do, undo, weight=1)
