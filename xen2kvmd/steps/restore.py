# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the disks of a backup where they were, or into another folder, checked at both ends."""

import json
from pathlib import Path, PurePosixPath

import cattrs

from xen2kvmd.errors import Failed, InvalidOption, TargetExists, Unsupported, VerifyFailed
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Backup, Restoration, SavedDisk
from xen2kvmd.steps.backup_disks import DOCUMENT, MANIFEST
from xen2kvmd.system import blocks, files
from xen2kvmd.system import disk as images

LARGEST = 1 << 20  # bytes of a manifest
WRITTEN = ("raw", "qcow2")  # formats that a disk is written in; the others become raw


def do(run: Run) -> None:
    """Restore each disk, and the domain XML beside them. Nothing that is there is written over.

    Raises VerifyFailed if the backup is not what its manifest says, or a disk not what was written.
    """
    asked = cattrs.structure(run.spec, Restoration)
    folder = Path(asked.backup)
    backup = _read(folder)
    run.result("guest", backup.guest)
    places = [_place(disk, asked.directory) for disk in backup.disks]
    document = Path(asked.directory or folder) / f"{PurePosixPath(backup.guest).name}.xml"
    for path in (*places, document):
        if path.exists() or path.is_symlink():
            raise TargetExists(
                f"The file {path} is there already.",
                hint="Move it away, or give another directory.",
            )
    run.note("files", [str(path) for path in (*places, document)])
    for disk, path in zip(backup.disks, places, strict=True):
        _restore(run, folder, disk, path)
        run.result(f"disk-{disk.dev}", str(path))
    files.write_atomic(document, (folder / DOCUMENT).read_text("utf-8", "surrogateescape"))
    run.result("document", str(document))


def undo(run: Run) -> None:
    """Remove what was written; none of it was there before."""
    for path in run.notes.get("files", ()):
        Path(path).unlink(missing_ok=True)


def _read(folder: Path) -> Backup:
    try:
        with (folder / MANIFEST).open("rb") as stream:
            document = json.loads(stream.read(LARGEST))
        backup = cattrs.structure(document, Backup)
    except FileNotFoundError as error:
        raise InvalidOption(
            f"There is no backup in {folder}: it has no {MANIFEST}.",
            hint="Name the folder that the report of the migration calls backup-disks.",
        ) from error
    except (OSError, ValueError, cattrs.BaseValidationError) as error:
        raise InvalidOption(f"{folder / MANIFEST} cannot be read: {error}.") from error
    for disk in backup.disks:
        if PurePosixPath(disk.file).name != disk.file or not PurePosixPath(disk.path).is_absolute():
            raise InvalidOption(f"{folder / MANIFEST} names files that are not its own.")
    return backup


def _place(disk: SavedDisk, directory: str) -> Path:
    """Return where a disk goes."""
    if directory:
        return Path(directory) / PurePosixPath(disk.path).name
    if disk.host:
        raise Unsupported(
            f"Disk '{disk.dev}' was read from {disk.host}, which is never written to.",
            hint="Restore it with --directory, and copy it there.",
        )
    return Path(disk.path)


def _restore(run: Run, folder: Path, disk: SavedDisk, path: Path) -> None:
    source = folder / disk.file
    image_format = disk.format if disk.format in WRITTEN else "raw"
    if not path.parent.is_dir():
        raise Failed(f"There is no directory {path.parent}.", hint="Make it first.")
    images.make_image(path, image_format=image_format, size=disk.size, preallocated=False)
    read = blocks.copy(str(source), "qcow2", str(path), image_format, run.progress)
    if read != disk.digest:
        raise VerifyFailed(
            f"The image {source} is not what was backed up: {read}, not {disk.digest}.",
            hint="The backup's storage has changed it; is there another copy of it?",
        )
    if blocks.digest(str(path), image_format, run.progress) != read:
        raise VerifyFailed(
            f"What was written to {path} reads otherwise.",
            hint="Look at its storage: the kernel's log may tell more.",
        )


RESTORE = (Step("restore", do, undo),)
