# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a backup of disks goes, and is found: in a folder, or as volumes of a pool of this host.

All of a backup lies together, its manifest too, and nothing of it in this host's own folders: a
pool's storage, an NFS server's above all, may outlive the host that has made the backup. Another
one restores it by the pool, or by the path of the manifest wherever the storage is mounted.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cattrs

from xen2kvmd.errors import InvalidOption, TargetExists, Unsupported
from xen2kvmd.model import (
    MANIFEST,
    Allocation,
    BackupPlace,
    DiskFormat,
    Operation,
    Request,
    Restoration,
    SourceDisk,
    Volume,
)
from xen2kvmd.system import disk, files
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.system.libvirt_pool import Pool
from xen2kvmd.targets.pool import FILE_POOLS, StoragePool
from xen2kvmd.targets.room import BACKUP, Need, store_of

PLACE = "backup-place"  # notes: where it is, and the <target dev> of each image
DEVS = "backup-devs"
CLAIM = "backup-claim"  # a note: where it shall be, and by what mark its claim is ours


def check_backup(request: Request) -> None:
    """Raise InvalidOption for a backup that is to go to two places, or a Backup to none."""
    if request.operation is Operation.BACKUP and not (request.backup_disks or request.backup_pool):
        raise InvalidOption(
            "No place was given for the backup.", hint="Give --directory DIR or --pool POOL."
        )
    if request.backup_disks and request.backup_pool:
        raise InvalidOption(
            f"These exclude each other: the folder {request.backup_disks}, the pool "
            f"'{request.backup_pool}'.",
            hint="Give one of them.",
        )


def needs(request: Request, disks: Iterable[SourceDisk]) -> Iterator[Need]:
    """Yield the room of the backup that is asked for.

    Raises InvalidOption, PoolNotFound or Unsupported if it has no place.
    """
    disks = tuple(disks)
    count = sum(disk.allocated for disk in disks)  # nothing is trimmed of what the source has
    doubt = count - sum(disk.least for disk in disks)
    if name := request.backup_pool:
        with connected() as host:
            pool, store = _pool_of_files(host, name), StoragePool(host, name).store()
        what, free = f"the backup in pool '{name}'", pool.available
        yield Need(what, count, store, free, BACKUP, doubt)
    elif request.backup_disks:
        folder = Path(request.backup_disks)
        if not folder.is_dir():
            raise InvalidOption(f"'{folder}' is no directory.", hint="Make it first.")
        what, free = f"the backup in {folder}", files.free(folder)
        yield Need(what, count, store_of(folder), free, BACKUP, doubt)


def new_place(request: Request, *, guest: str, job: str) -> BackupPlace:
    """Return where the backup of a guest by a job goes. Nobody has it before claim()."""
    name = f"{guest}-{job}"
    if request.backup_pool:
        with connected() as host:
            folder = _pool_of_files(host, request.backup_pool).path
        return BackupPlace(folder, f"{name}-", request.backup_pool)
    return BackupPlace(f"{request.backup_disks.rstrip('/')}/{name}")


def claim(place: BackupPlace, devs: Iterable[str], *, mark: str) -> None:
    """Take the place of a backup for the job with this mark, until release().

    A job whose id a caller has chosen may bear the id of one that is forgotten, or of one that
    another host has, at this very moment: each file that an undo would remove is looked for, when
    nobody else can make it any more. devs are <target dev>s. Raises TargetExists.
    """
    try:
        descriptor = os.open(place.claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise TargetExists(
            f"Another job makes the backup {_name(place)}: the file {place.claim} says so.",
            hint="Give the job another token. If no job of any host is at it, remove that file.",
        ) from error
    with open(descriptor, "w") as stream:
        stream.write(mark)
        stream.flush()
        os.fsync(stream.fileno())
    parts = (place.manifest, place.document, *map(place.image, devs))
    if any(map(os.path.lexists, parts if place.pool else (place.folder,))):
        release(place, mark=mark)
        raise TargetExists(
            f"There is a backup {_name(place)} already.",
            hint="Move it away, or give the job another token.",
        )


def release(place: BackupPlace, *, mark: str) -> None:
    """Give up the claim of a job, if it has one.

    An empty one is of a process that died as it made it: who lives has filled it by now.
    """
    with suppress(FileNotFoundError):
        if place.claim.read_text() in (mark, ""):
            place.claim.unlink()


def _name(place: BackupPlace) -> str:
    return f"'{place.prefix.removesuffix('-') or Path(place.folder).name}'"


def make_images(place: BackupPlace, sizes: Iterable[tuple[str, int]]) -> None:
    """Make the place ready for a backup: an image for each <target dev>, of so many bytes."""
    if not place.pool:
        Path(place.folder).mkdir(mode=0o700)
        for dev, size in sizes:
            disk.make_image(place.image(dev), image_format="qcow2", size=size, preallocated=False)
        return
    with connected() as host:
        pool = StoragePool(host, place.pool)
        for dev, size in sizes:
            pool.make(_volume(place, dev), size=size, allocation=Allocation.SPARSE)


def publish(place: BackupPlace) -> None:
    """Let libvirt list the files of a backup in its pool as they are."""
    if place.pool:
        with connected() as host:
            host.pool(place.pool)


def remove(place: BackupPlace, devs: Iterable[str]) -> None:
    """Remove a backup, or what there is of it, the manifest first: without it there is none."""
    if not place.pool:
        with suppress(FileNotFoundError):
            shutil.rmtree(place.folder)
        return
    with connected() as host:
        host.pool(place.pool)  # what is not mounted looks as if it was removed
        for path in (place.manifest, place.document):
            files.discard(path)
        for dev in devs:
            StoragePool(host, place.pool).discard(_volume(place, dev))


def taken(notes: Mapping[str, Any]) -> int:
    """Return how many bytes the backup that a job's notes tell of has taken by now."""
    if not notes.get(PLACE):
        return 0
    place = cattrs.structure(notes[PLACE], BackupPlace)
    return sum(files.taken(place.image(dev)) for dev in notes[DEVS])


def kept(asked: Restoration) -> BackupPlace:
    """Return where a backup is that is to be restored. Raises PoolNotFound or Unsupported."""
    if name := asked.backup_pool:
        with connected() as host:
            return BackupPlace(_pool_of_files(host, name).path, f"{asked.backup}-", name)
    path = Path(asked.backup)
    if path.name.endswith(MANIFEST) and not path.is_dir():
        return BackupPlace(str(path.parent), path.name.removesuffix(MANIFEST))
    return BackupPlace(asked.backup)


def _volume(place: BackupPlace, dev: str) -> Volume:
    image = place.image(dev)
    return Volume(dev, str(image), DiskFormat.QCOW2, place.pool, image.name)


def _pool_of_files(host: Host, name: str) -> Pool:
    pool = host.pool(name)
    if pool.type not in FILE_POOLS:
        raise Unsupported(
            f"Pool '{name}' is of the type '{pool.type}': its volumes are no files, and a backup's "
            "manifest is one.",
            hint=f"Types that work: {', '.join(FILE_POOLS)}.",
        )
    return pool
