# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the source's disks are read, by the maps that the caller gives (--path-map OLD=NEW).

A disk on the network, or a volume of a pool, has no path that could be mapped. Where this host or
another has it as a file or block device (rbd map, iscsiadm, virsh vol-path), a map names it by its
target name, or as we call it: POOL/VOLUME, PROTOCOL:NAME.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from xen2kvmd.domain import DomainDisk
from xen2kvmd.errors import InvalidDisk, InvalidOption, Unsupported
from xen2kvmd.model import Finding, PathMap, Severity
from xen2kvmd.sources import BY_SCRIPT, RBD

Maps = Sequence[PathMap]
Way = tuple[str, str]  # host, "" for this one, and path


def of_disk(disk: DomainDisk, maps: Maps, *, host: str) -> Way:
    """Return where a disk is read: by the first map that is for it, or as it is.

    Raises Unsupported and InvalidDisk for one that cannot be read as it is.
    """
    if found := _said(disk, maps):
        return found
    hint = (
        "Have it as a file or block device, here or on a host that ssh reaches, and say where: "
        f"--path-map {disk.dev}=/PATH, or {disk.dev}=ssh://USER@HOST/PATH."
    )
    if disk.type not in ("file", "block"):
        name = f", {disk.path}," if disk.path else ","
        raise Unsupported(
            f"Disk '{disk.dev}' is of the type '{disk.type}'{name} which is not read itself.",
            hint=hint,
        )
    if not disk.path.startswith("/"):
        raise InvalidDisk(f"Disk '{disk.dev}' has no absolute path: '{disk.path}'.", hint=hint)
    return host, disk.path


def mapped(path: str, maps: Maps, *, host: str) -> Way:
    """Return where a path of the source is read: by the first map that matches, or as it is."""
    return next(filter(None, (_by_path(path, entry) for entry in maps)), (host, path))


def check_names(disks: Sequence[DomainDisk], maps: Maps) -> None:
    """Raise InvalidOption for a map that is for one disk, which is not there."""
    for entry in maps:
        if not entry.old.startswith("/") and not any(_said(disk, (entry,)) for disk in disks):
            names = (f"{disk.dev} ({disk.path})" if disk.path else disk.dev for disk in disks)
            raise InvalidOption(
                f"A path is given for '{entry.old}', which is no disk of this guest's.",
                hint=f"Its disks are: {', '.join(names)}.",
            )


def told(finding: Finding, disks: Sequence[DomainDisk], maps: Maps) -> Finding:
    """Return what is told of a source; what a map has settled forbids nothing any more."""
    settled = any(finding.place == f"disk[{disk.dev}]" and _said(disk, maps) for disk in disks)
    if finding.id in (BY_SCRIPT, RBD) and settled:
        return replace(finding, severity=Severity.INFO, hint="It is read where --path-map says.")
    return finding


def _said(disk: DomainDisk, maps: Maps) -> Way | None:
    for entry in maps:
        if entry.old in (disk.dev, disk.path):
            return entry.host, entry.new
        if found := _by_path(disk.path, entry):
            return found
    return None


def _by_path(path: str, entry: PathMap) -> Way | None:
    if not (path.startswith("/") and PurePosixPath(path).is_relative_to(entry.old)):
        return None
    return entry.host, str(PurePosixPath(entry.new) / PurePosixPath(path).relative_to(entry.old))
