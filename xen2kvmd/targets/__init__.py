# SPDX-License-Identifier: GPL-2.0-or-later
"""Where disks go: make room, give a path, discard."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import Allocation, DiskFormat, Request, SourceDisk, Volume
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets.directory import Directory
from xen2kvmd.targets.host import check_target_host, ssh_address, target_host
from xen2kvmd.targets.in_place import InPlace
from xen2kvmd.targets.nfs_export import NfsExport
from xen2kvmd.targets.pool import StoragePool, pool_of_folder
from xen2kvmd.targets.room import Span
from xen2kvmd.targets.users import check_unused

__all__ = [
    "Directory",
    "InPlace",
    "NfsExport",
    "Place",
    "StoragePool",
    "boot_place",
    "check_target_host",
    "check_unused",
    "open_places",
    "ssh_address",
    "target_host",
]


class Place(Protocol):
    """A place for the disks of a guest."""

    def available(self) -> int:
        """Return how many bytes fit. Raises if the place is not there or cannot be used."""

    def store(self) -> str:
        """Return what its bytes come out of; the same for places that share a file system."""

    def needed(self, disk: SourceDisk, allocation: Allocation) -> Span:
        """Return how many bytes a disk takes. Raises Unsupported for what cannot be done here."""

    def volume(
        self, *, dev: str, name: str, disk_format: DiskFormat, may_exist: bool = False
    ) -> Volume:
        """Return the volume that a disk will be. Raises TargetExists if it must not be there."""

    def make(
        self, volume: Volume, *, size: int, allocation: Allocation, cluster_size: int = 0
    ) -> None:
        """Make the volume; sizes are in bytes, 0 for QEMU's default.

        It reads as zeroes, unless it is a block device: that has what was there before.
        """

    def discard(self, volume: Volume) -> None:
        """Remove the volume; nothing happens if there is none."""


def open_places(request: Request, host: Host, disks: Iterable[SourceDisk]) -> Mapping[str, Place]:
    """Open the place of each disk: its own pool or that of all, "default" where none is said.

    Raises InvalidOption if a pool is said for a disk that the guest has not.
    """
    disks = tuple(disks)
    own, devs = dict(request.disk_pools), tuple(disk.dev for disk in disks)
    if strange := sorted(set(own) - set(devs)):
        raise InvalidOption(
            f"A pool is given for disk '{strange[0]}', which the guest has not.",
            hint=f"Its disks are: {', '.join(devs)}.",
        )
    common: Place = StoragePool(host, request.pool or "default")
    if request.directory:
        folder = request.directory
        common = pool_of_folder(host, folder) if host.remote else Directory(folder)
    elif request.in_place:
        common = InPlace(disks)
    elif request.nfs_export:
        common = NfsExport(host, request.nfs_export)
    pools = {name: StoragePool(host, name) for name in own.values()}
    return {dev: pools[own[dev]] if dev in own else common for dev in devs}


def boot_place(places: Mapping[str, Place]) -> Place:
    """Return where kernel and initrd of a direct kernel boot go: beside the first disk."""
    return next(iter(places.values()))
