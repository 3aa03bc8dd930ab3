# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the disks of a backup where they were, or into another folder, checked at both ends.

Each file is written beside its place under a name of this job's, and linked to its own name when
all of them are whole: link(2) never replaces what is there. Until the job has noted that all are
linked, undo takes away those that are the same file as one of ours, and no others.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import cattrs

from xen2kvmd.errors import (
    Failed,
    InvalidOption,
    TargetExists,
    Unsupported,
    VerifyFailed,
)
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import MANIFEST, Backup, BackupPlace, Finding, Restoration, SavedDisk
from xen2kvmd.steps.reserve import reserve_here
from xen2kvmd.system import blocks, files
from xen2kvmd.system import disk as images
from xen2kvmd.targets import backups
from xen2kvmd.targets.room import Need, store_of

LARGEST = 1 << 20  # bytes of a manifest
WRITTEN = ("raw", "qcow2", "qcow", "qed", "vpc", "vhdx")  # formats that are one file; others: raw


def do(run: Run) -> None:
    """Restore each disk, and the domain XML. Nothing that is there is written over.

    Raises VerifyFailed if the backup is not what its manifest says, or a disk not what was written.
    """
    asked = cattrs.structure(run.spec, Restoration)
    kept = backups.kept(asked)
    backup, folder = _read(kept), Path(kept.folder)
    run.result("guest", backup.guest)
    places = _places(backup, asked.directory)
    document = _document(asked, kept, backup)
    for path in (*places, document):
        _check_free(path)
    reserve_here(run, _needs(run, folder, backup, places))
    run.note("files", [str(path) for path in (*places, document)])
    for disk, path in zip(backup.disks, places, strict=True):
        _restore(run, folder, disk, _ours(run, path))
    text = kept.document.read_text("utf-8", "surrogateescape")
    files.write_atomic(_ours(run, document), text)
    for path in (*places, document):
        _publish(_ours(run, path), path)
    run.note("published", asked.directory)
    _sweep(run)
    for disk, path in zip(backup.disks, places, strict=True):
        run.result(f"disk-{disk.dev}", str(path))
        if disk.format not in WRITTEN:
            run.finding(_other_format(disk, path, document))
    run.result("document", str(document))


def undo(run: Run) -> None:
    """Remove what was written, unless all of it is whole and has its name."""
    if "published" not in run.notes:
        for path in map(Path, run.notes.get("files", ())):
            with suppress(FileNotFoundError):
                if path.samefile(_ours(run, path)):
                    path.unlink()
    _sweep(run)


def _sweep(run: Run) -> None:
    for path in run.notes.get("files", ()):
        _ours(run, Path(path)).unlink(missing_ok=True)


def _other_format(disk: SavedDisk, path: Path, document: Path) -> Finding:
    return Finding(
        "restored-as-raw",
        f"Disk '{disk.dev}' was of the format {disk.format}; {path} is raw.",
        hint=f"Say type='raw' in its <driver> element in {document}, or make it what it was: "
        f"qemu-img convert -f raw -O {disk.format}.",
        place=f"devices/disk[{disk.dev}]",
    )


def _ours(run: Run, path: Path) -> Path:
    """Return the name under which this job, and no other, writes what will be at a path."""
    return path.with_name(f".{path.name}.{run.id}")


def _publish(ours: Path, path: Path) -> None:
    try:
        os.link(ours, path)
    except FileExistsError:
        _check_free(path)
        raise
    except OSError as error:
        raise Failed(f"{path} cannot be made: {error.strerror}.") from error


def _check_free(path: Path) -> None:
    """Raise TargetExists if something is at a path, Failed if its folder is not there."""
    if path.exists() or path.is_symlink():
        raise TargetExists(
            f"The file {path} is there already.",
            hint="Move it away, or give another directory.",
        )
    if not path.parent.is_dir():
        raise Failed(f"There is no directory {path.parent}.", hint="Make it first.")


def _needs(run: Run, folder: Path, backup: Backup, places: list[Path]) -> Iterator[Need]:
    """Yield the room that each disk takes: what its image does."""
    for disk, path in zip(backup.disks, places, strict=True):
        count, place = files.taken(folder / disk.file), path.parent
        ours = str(_ours(run, path))
        yield Need(f"disk '{disk.dev}'", count, store_of(place), files.free(place), ours)


def _read(kept: BackupPlace) -> Backup:
    manifest = kept.manifest
    try:
        with manifest.open("rb") as stream:
            document = json.loads(stream.read(LARGEST))
        backup = cattrs.structure(document, Backup)
    except FileNotFoundError as error:
        raise InvalidOption(
            f"There is no backup in {kept.folder}: it has no {manifest.name}.",
            hint="Give what the job's report calls backup-disks, or with --pool what is before "
            f"-{MANIFEST} in the name of a volume.",
        ) from error
    except (OSError, ValueError, cattrs.BaseValidationError) as error:
        raise InvalidOption(f"{manifest} cannot be read: {error}.") from error
    for disk in backup.disks:
        own = disk.file and PurePosixPath(disk.file).name == disk.file
        if not own or not PurePosixPath(disk.path).is_absolute():
            raise InvalidOption(f"{manifest} names files that are not its own.")
    return backup


def _places(backup: Backup, directory: str) -> list[Path]:
    """Return where each disk goes; two of one name are told apart by their <target dev>."""
    if not directory:
        return [_original(disk) for disk in backup.disks]
    names = Counter(PurePosixPath(disk.path).name for disk in backup.disks)
    return [
        Path(directory) / (name if names[name] == 1 else f"{PurePosixPath(disk.dev).name}-{name}")
        for disk in backup.disks
        for name in [PurePosixPath(disk.path).name]
    ]


def _document(asked: Restoration, kept: BackupPlace, backup: Backup) -> Path:
    """Return where the domain XML goes; beside other backups its name tells whose it is."""
    name = f"{PurePosixPath(backup.guest).name}.xml"
    if asked.directory:
        return Path(asked.directory, name)
    return Path(kept.folder, f"{kept.prefix}{name}")


def _original(disk: SavedDisk) -> Path:
    if disk.host:
        raise Unsupported(
            f"Disk '{disk.dev}' was read from {disk.host}, which is never written to.",
            hint="Restore it with --directory, and copy it there.",
        )
    if PurePosixPath(disk.path).is_relative_to("/dev"):
        raise Unsupported(
            f"Disk '{disk.dev}' was the block device {disk.path}: no file can take its place.",
            hint="Restore it with --directory, and copy it into a new volume: "
            "qemu-img convert -n -O raw FILE DEVICE.",
        )
    return Path(disk.path)


def _restore(run: Run, folder: Path, disk: SavedDisk, path: Path) -> None:
    source = folder / disk.file
    image_format = disk.format if disk.format in WRITTEN else "raw"
    images.make_image(path, image_format=image_format, size=disk.size, preallocated=False)
    read = blocks.copy(
        run.progress, source=(str(source), "qcow2"), target=(str(path), image_format)
    )
    if read != disk.digest:
        raise VerifyFailed(
            f"The image {source} is not what was backed up: {read}, not {disk.digest}.",
            hint="The backup was damaged after it was made. Restore from another copy of it.",
        )
    if blocks.digest(str(path), image_format, run.progress) != read:
        raise VerifyFailed(
            f"What was written of disk '{disk.dev}' reads otherwise.",
            hint=f"Look at the storage of {path.parent}: the kernel's log may tell more.",
        )


RESTORE = (Step("restore", do, undo),)
