# SPDX-License-Identifier: GPL-2.0-or-later
"""Which limits of the queue a job counts towards: of all jobs, of a source's host, of a target.

It is told from what was asked for alone. A host that --path-map names is counted whether a disk is
read from there or not, and a pool is known by its name, a folder by its path. Which pool has a
folder, or an NFS export, a target's libvirt tells the job, and the job tells us: from then on all
jobs that ask for that folder count towards the pool.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from xen2kvmd.model import Operation, export_pool

QueuePlaces = tuple[tuple[str, str], ...]  # kind ("all", "source", "target") and name

# They read, convert or write disks. All others take seconds, and wait for nothing: who goes back
# after a migration does not want to wait for the next one.
_HEAVY = {
    Operation.INSPECT,
    Operation.PLAN,
    Operation.MIGRATE,
    Operation.BACKUP,
    Operation.RESTORE,
}


def taken(
    operation: str, source: str, spec: Mapping[str, Any], *, settled: Mapping[str, Any]
) -> QueuePlaces:
    """Return the limits that a job counts towards; settled is the spec of what it settles."""
    merges = operation == Operation.FINALIZE and settled.get("in_place")
    if operation not in _HEAVY and not merges:
        return ()
    hosts = (host_of(source), *(host_of(way["host"]) for way in spec.get("path_map", ())))
    return (
        ("all", ""),
        *(("source", host) for host in dict.fromkeys(hosts) if host),
        *(("target", target) for target in dict.fromkeys(_targets(operation, spec))),
    )


def found(spec: Mapping[str, Any], pool: str) -> tuple[str, str]:
    """Return by which name a migration's folder or export was counted, and by which its pool is."""
    host = host_of(spec.get("target", ""))
    (asked,) = _common(spec)
    return f"{host} {asked}".lstrip(), f"{host} {pool}".lstrip()


def host_of(uri: str) -> str:
    """Return the host of a URI, "" for this one."""
    try:
        return (urlsplit(uri).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _targets(operation: str, spec: Mapping[str, Any]) -> Iterator[str]:
    if operation == Operation.MIGRATE:
        host = host_of(spec.get("target", ""))
        for name in (*_common(spec), *(pool for _, pool in spec.get("disk_pools", ()))):
            yield f"{host} {name}".lstrip()
    if operation in (Operation.MIGRATE, Operation.BACKUP):
        yield from _of_backup(spec)
    if operation == Operation.RESTORE and (folder := spec.get("directory")):
        yield posixpath.normpath(folder)


def _of_backup(spec: Mapping[str, Any]) -> Iterator[str]:
    if folder := spec.get("backup_disks"):
        yield posixpath.normpath(folder)
    if pool := spec.get("backup_pool"):
        yield pool


def _common(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where a migration's disks go that have no pool of their own."""
    if folder := spec.get("directory"):
        return (posixpath.normpath(folder),)
    if spec.get("in_place"):
        return ()
    if export := spec.get("nfs_export"):
        return (export_pool(export),)
    return (spec.get("pool") or "default",)
