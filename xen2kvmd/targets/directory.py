# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks as files in a directory of this host."""

from pathlib import Path

from xen2kvmd.errors import InvalidOption, TargetExists
from xen2kvmd.model import Allocation, DiskFormat, SourceDisk, Volume
from xen2kvmd.system import disk, files
from xen2kvmd.targets.room import Span, room_of, store_of


class Directory:
    """A directory, which must be there."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def available(self) -> int:
        if not self._path.is_absolute() or not self._path.is_dir():
            raise InvalidOption(
                f"'{self._path}' is not the absolute path of a directory.",
                hint="Make it first, where QEMU's user may read, or give a pool.",
            )
        return files.free(self._path)

    def store(self) -> str:
        return store_of(self._path)

    def needed(self, disk: SourceDisk, allocation: Allocation) -> Span:
        return room_of(disk, allocation)

    def volume(
        self, *, dev: str, name: str, disk_format: DiskFormat, may_exist: bool = False
    ) -> Volume:
        path = self._path / name
        if not may_exist and (path.exists() or path.is_symlink()):
            raise TargetExists(
                f"The file {path} is there already.",
                hint="Choose another name for the target with --name, or move the file away.",
            )
        return Volume(dev=dev, path=str(path), format=disk_format, name=name)

    def make(
        self, volume: Volume, *, size: int, allocation: Allocation, cluster_size: int = 0
    ) -> None:
        disk.make_image(
            Path(volume.path),
            image_format=volume.format,
            size=size,
            preallocated=allocation is Allocation.PREALLOCATED,
            cluster_size=cluster_size,
        )

    def discard(self, volume: Volume) -> None:
        Path(volume.path).unlink(missing_ok=True)
