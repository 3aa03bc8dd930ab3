# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks in overlays beside the source's images, which stay as they are until the merge.

The guide's tip "Copying images" (15.1): images that lie where the new guest shall have them are not
copied once more. finalize merges the overlays into them; rollback throws the overlays away.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG

from xen2kvmd.errors import TargetExists, Unsupported, VerifyFailed
from xen2kvmd.model import Allocation, DiskFormat, SourceDisk, Volume
from xen2kvmd.system import blocks, files
from xen2kvmd.system.measure import Progress
from xen2kvmd.targets.room import Span, store_of

CONVERSION = 512 << 20  # bytes that a conversion writes, at most: initrds, and what is trimmed


class InPlace:
    """The folders of the source's images on this host."""

    def __init__(self, disks: Iterable[SourceDisk]) -> None:
        self._disks = {disk.dev: disk for disk in disks}

    def available(self) -> int:
        """Return what is free where there is least. Raises Unsupported for what is no image."""
        for disk in self._disks.values():
            if disk.host or disk.parts or not all(map(_is_file, disk.paths)):
                what = "on another host" if disk.host else "no image file"
                raise Unsupported(
                    f"Disk '{disk.dev}' is {what}: it cannot be converted in place.",
                    hint="Have it copied: leave out --in-place.",
                )
        return files.free(self._fullest())

    def store(self) -> str:
        return store_of(self._fullest())

    def _fullest(self) -> Path:
        return min((Path(disk.path).parent for disk in self._disks.values()), key=files.free)

    def needed(self, disk: SourceDisk, allocation: Allocation) -> Span:
        written = min(disk.allocated, CONVERSION)
        return Span(written, written)

    def volume(
        self, *, dev: str, name: str, disk_format: DiskFormat, may_exist: bool = False
    ) -> Volume:
        path = Path(self._disks[dev].path).with_name(name)
        if not may_exist and (path.exists() or path.is_symlink()):
            raise TargetExists(
                f"The file {path} is there already.",
                hint="Choose another name for the target with --name, or move the file away.",
            )
        return Volume(dev=dev, path=str(path), format=disk_format, name=name)

    def make(
        self, volume: Volume, *, size: int, allocation: Allocation, cluster_size: int = 0
    ) -> None:
        """Make nothing: the overlay of the conversion takes this place."""

    def discard(self, volume: Volume) -> None:
        for path in (Path(volume.path), _partial(volume)):
            path.unlink(missing_ok=True)


def put(overlay: Path, volume: Volume, progress: Progress) -> None:
    """Put a converted overlay where the new guest has it; what lies there is not written over.

    Raises TargetExists, and VerifyFailed if the copy of its bytes differs.
    """
    partial = _partial(volume)
    partial.unlink(missing_ok=True)
    with partial.open("xb") as stream:
        stream.truncate(overlay.stat().st_size)
    digest = blocks.copy(progress, source=(str(overlay), "raw"), target=(str(partial), "raw"))
    if blocks.digest(str(partial), "raw", progress) != digest:
        raise VerifyFailed(
            f"The overlay {volume.path} reads otherwise than it was written.",
            hint="Look at its storage: the kernel's log may tell more.",
        )
    try:
        os.link(partial, volume.path)
    except FileExistsError as error:
        raise TargetExists(
            f"The file {volume.path} was made meanwhile.", hint="See by whom, and migrate again."
        ) from error
    partial.unlink()
    files.sync_folder(partial.parent)


def _is_file(path: str) -> bool:
    return S_ISREG(Path(path).stat().st_mode)


def _partial(volume: Volume) -> Path:
    return Path(volume.path).with_name(f".{Path(volume.path).name}.partial")
