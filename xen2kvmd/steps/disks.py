# SPDX-License-Identifier: GPL-2.0-or-later
"""The source's disks, here or over ssh: where they are, and whether anybody writes to them.

A disk of another host is served here by NBD, read-only, so that everything else does with it what
it does with a file: look at it, convert in an overlay over it, copy what shows through. So is a
block device of this host.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from xen2kvmd import domain
from xen2kvmd.errors import InvalidDisk, MigrationError, Unsupported
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Backing, Finding, Request, Severity, SourceDisk
from xen2kvmd.steps import way
from xen2kvmd.system import disk as images
from xen2kvmd.system import image_locks
from xen2kvmd.system.remotes import Remotes, folder_of

LONGEST = 100  # images that build on each other


def find(
    run: Run, request: Request, source: domain.SourceDomain, *, host: str
) -> Iterator[SourceDisk]:
    """Yield the disks to be copied; media in drives are carried by the domain XML alone.

    host is the other host that has them, "" for this one. Raises InvalidDisk, InvalidOption,
    Unsupported and ssh's errors.
    """
    described = tuple(disk for disk in source.disks if disk.device == "disk")
    way.check_names(described, request.path_map)
    for disk in described:
        where, path = way.of_disk(disk, request.path_map, host=host)
        if where:
            (_, info, _), *below = chain = tuple(
                _chain(run, request, where, Backing(path, disk.format))
            )
            allocated = min(sum(occupied for _, _, occupied in chain), info.size)
            backing = tuple(image for image, _, _ in below)
        else:
            info = images.examine(path, disk.format)
            allocated = info.size
            backing = images.builds_on(path, disk.format) if info.backing else ()
        found = SourceDisk(
            *(disk.dev, path, disk.format, info.size, allocated, where),
            backing=backing,
            snapshots=info.snapshots,
        )
        if not where or disk.format == "qcow2":  # whose clusters may be compressed
            allocated = images.data_size(location(run, found), disk.format, size=info.size)
            found = replace(found, allocated=allocated)
        yield found


def _chain(
    run: Run, request: Request, host: str, image: Backing
) -> Iterator[tuple[Backing, images.DiskInfo, int]]:
    """Yield an image of another host, and each that it builds on; what each is, and occupies.

    Raises InvalidDisk, Unsupported and ssh's errors.
    """
    top = image.path
    for _ in range(LONGEST):
        far = remotes(run).disk(host, image.path)
        uri = remotes(run).uri(host, image.path)
        head = far.read(0, images.HEAD)
        info = images.examine_served(uri, image.format, path=image.path, head=head)
        yield image, info, far.size.allocated
        if not info.backing:
            return
        image = _backing(request, host, image.path, info)
    raise InvalidDisk(
        f"The disk {top} of another host builds on more than {LONGEST} images.",
        hint="Make one image of it there, by 'qemu-img convert'.",
    )


def _backing(request: Request, host: str, path: str, info: images.DiskInfo) -> Backing:
    """Return the image that one of another host builds on, by the name that it has for it."""
    name = info.backing
    where, found = host, str(PurePosixPath(path).parent / name)
    if name.startswith("/"):
        where, found = way.mapped(name, request.path_map, host=host)
    if where != host or re.match("[a-z+]+:", name):
        raise Unsupported(
            f"The disk {path} of another host builds on {name}, which is elsewhere.",
            hint="Make one image of it there, by 'qemu-img convert'.",
        )
    if not info.backing_format:
        raise InvalidDisk(
            f"The disk {path} of another host builds on {name}, and does not say its format.",
            hint=f"Say it there: qemu-img rebase -u -f qcow2 -F FORMAT -b '{name}' '{path}'",
        )
    return Backing(found, info.backing_format)


def findings(run: Run, disks: tuple[SourceDisk, ...], *, in_place: bool) -> Iterator[Finding]:
    """Yield what a person must know of disks of other hosts, and of images that hold more."""
    for disk in disks:
        if disk.snapshots:
            yield _of_snapshots(disk, in_place=in_place)
        if disk.backing:
            yield _of_backing(disk, in_place=in_place)
    for host in sorted({disk.host for disk in disks if disk.host}):
        here = [disk for disk in disks if disk.host == host]
        devs = ", ".join(part.dev for disk in here for part in disk.parts or (disk,))
        far = [remotes(run).disk(host, path) for disk in here for path in disk.paths]
        readers = " or ".join(sorted({disk.reader for disk in far}))
        yield Finding(
            "remote-disks",
            f"Disks of the host {urlsplit(host).netloc.rpartition('@')[2]} are read over ssh, "
            f"by {readers} there: {devs}.",
            Severity.INFO,
            hint="Where this host has them too, on shared storage, say so: --path-map OLD=NEW.",
        )


def of_luns(source: domain.SourceDomain) -> Iterator[Finding]:
    """Yield each LUN that is passed through: the new guest gets what its own host calls so."""
    for disk in source.disks:
        if disk.device == "lun":
            yield Finding(
                "disk-lun",
                f"Disk '{disk.dev}' is a LUN that is passed through: it is not copied, and the new "
                f"guest gets {disk.path} of its own host, whatever that is.",
                Severity.BLOCKER,
                hint="Waive it where the target host has the same LUN under this name. To have it "
                "copied, make it device='disk' in the domain XML; or remove it there.",
                place=f"devices/disk[{disk.dev}]",
            )


def _of_snapshots(disk: SourceDisk, *, in_place: bool) -> Finding:
    names = ", ".join(disk.snapshots)
    if in_place:
        return Finding(
            "internal-snapshots",
            f"The image of disk '{disk.dev}' has snapshots in it, which it keeps: {names}.",
            Severity.INFO,
            hint="They are of the guest under Xen: to go back to one would undo the conversion.",
            place=f"devices/disk[{disk.dev}]",
        )
    return Finding(
        "internal-snapshots",
        f"The image of disk '{disk.dev}' has snapshots in it, which the copy will lack: {names}.",
        hint=f"Keep {disk.path} as long as one of them may be needed.",
        place=f"devices/disk[{disk.dev}]",
    )


def _of_backing(disk: SourceDisk, *, in_place: bool) -> Finding:
    names = ", ".join(image.path for image in disk.backing)
    return Finding(
        "backing-chain",
        f"Disk '{disk.dev}' builds on {names}: "
        + ("so will the new guest's." if in_place else "the copy will hold all of it."),
        Severity.INFO,
        hint="These images have to stay as they are." if in_place else "",
        place=f"devices/disk[{disk.dev}]",
    )


def is_served(disk: SourceDisk) -> bool:
    """Tell whether we read a disk ourselves, and QEMU reads it by NBD.

    So it is where it is far, or where the time of a file does not tell that it was written.
    """
    return bool(disk.host) or any(Path(path).is_block_device() for path in disk.paths)


def location(run: Run, disk: SourceDisk) -> str:
    """Return what QEMU can open: a path of this host, or the URI where the disk is served."""
    if not is_served(disk):
        return disk.path
    opened = remotes(run)
    if disk.parts:
        return opened.joined(disk)
    return opened.chained(disk) if disk.backing else opened.uri(disk.host, disk.path)


def lane(disk: SourceDisk) -> str:
    """Return the lane of a disk (system/lanes.py): disks in one lane are read one after another.

    All block devices of this host are in one: what devices they share is not looked up.
    """
    if disk.host:
        return f"{disk.host} {disk.dev}"  # there a program reads each, and waits most of the time
    if is_served(disk):
        return "block devices"
    return " ".join(sorted({str(Path(path).stat().st_dev) for path in disk.paths}))


def head(run: Run, disk: SourceDisk, size: int) -> bytes:
    """Return the first bytes of a file or block device of this host or another."""
    if is_served(disk):
        return remotes(run).disk(disk.host, disk.path).read(0, size)
    with Path(disk.path).open("rb") as stream:
        return stream.read(size)


def stamp(run: Run, disk: SourceDisk) -> list[int]:
    """Return what changes when a disk is written: a guest that runs shows.

    Of a block device nothing shows; verify() finds it out.
    """
    if is_served(disk):
        return [number for stamp in _stamps(run, disk) for number in stamp]
    states = [Path(path).stat() for path in disk.paths]
    return [number for state in states for number in (state.st_mtime_ns, state.st_size)]


def shows_writes(run: Run, disk: SourceDisk) -> bool:
    """Tell whether a disk's stamp changes when it is written."""
    return not is_served(disk) or all(_stamps(run, disk))


def _stamps(run: Run, disk: SourceDisk) -> list[list[int]]:
    return [remotes(run).disk(disk.host, path).stamp() for path in disk.paths]


def check_unlocked(disks: tuple[SourceDisk, ...]) -> None:
    """Raise VmRunning if a running QEMU of this host may write to one."""
    for disk in disks:
        for path in disk.paths if not disk.host else ():
            image_locks.check_unlocked(path)


def verify(run: Run) -> None:
    """See that what was read of served disks is still there. Raises VmRunning if it is not."""
    if (opened := run.take(Remotes)) is not None:
        opened.verify(run.progress)


def remotes(run: Run) -> Remotes:
    """Return the hosts and disks that this process has open, which its steps share."""
    opened = run.take(Remotes)
    if opened is None:
        opened = Remotes(folder_of(run.folder), live=run.notes.get("source-state") == "running")
        run.keep(opened, opened.close)
    return opened


def explained(step: Step) -> Step:
    """Return the step with better errors: why a disk that we serve to QEMU could not be read."""

    def better(work: Callable[[Run], None]) -> Callable[[Run], None]:
        def do(run: Run) -> None:
            try:
                work(run)
            except MigrationError as error:
                opened = run.take(Remotes)
                cause = opened.failure() if opened else None
                if cause is None or cause is error:
                    raise
                raise cause from error

        return do

    go_on = better(step.go_on) if step.go_on else None
    return replace(step, do=better(step.do), go_on=go_on)
