# SPDX-License-Identifier: GPL-2.0-or-later
"""Where disks go: make room, give a path, discard."""

from typing import Protocol

from xen2kvmd.model import Allocation, DiskFormat, Request, Volume
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets.directory import Directory
from xen2kvmd.targets.pool import StoragePool


class Place(Protocol):
    """A place for the disks of a guest."""

    def available(self) -> int:
        """Return how many bytes fit. Raises if the place is not there or cannot be used."""

    def volume(self, *, dev: str, name: str, disk_format: DiskFormat) -> Volume:
        """Return the volume that a disk will be. Raises TargetExists if it is there already."""

    def make(self, volume: Volume, *, size: int, allocation: Allocation) -> None:
        """Make the volume; it reads as zeroes. size is in bytes."""

    def discard(self, volume: Volume) -> None:
        """Remove the volume; nothing happens if there is none."""


def open_place(request: Request, host: Host) -> Place:
    """Open the place that a request names; a pool called "default" where it names none."""
    if request.directory:
        return Directory(request.directory)
    return StoragePool(host, request.pool or "default")
