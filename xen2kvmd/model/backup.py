# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup of a guest's disks, as its manifest describes it."""

from dataclasses import dataclass
from pathlib import Path

from xen2kvmd.model.request import Operation

MANIFEST = "manifest.json"
DOCUMENT = "domain.xml"


@dataclass(frozen=True)
class BackupPlace:
    """Where the files of a backup lie: in a folder of their own, or as volumes of a libvirt pool.

    Each name begins with the prefix there, for a pool has many; it is "" in a folder of their own.
    """

    folder: str
    prefix: str = ""
    pool: str = ""

    @property
    def manifest(self) -> Path:
        return Path(self.folder, f"{self.prefix}{MANIFEST}")

    @property
    def document(self) -> Path:
        return Path(self.folder, f"{self.prefix}{DOCUMENT}")

    @property
    def claim(self) -> Path:
        """Return the file that says, while the backup is made, whose it will be."""
        if self.pool:
            return Path(self.folder, f".{self.prefix}claim")
        return Path(self.folder).with_name(f".{Path(self.folder).name}-claim")

    def image(self, dev: str) -> Path:
        """Return where the image of a disk is, by the disk's <target dev>."""
        return Path(self.folder, f"{self.prefix}{dev}.qcow2")


@dataclass(frozen=True)
class SavedDisk:
    """A disk of the source, kept as the qcow2 image `file` beside the manifest.

    path, host and format are what the source had; digest is that of system/blocks.py.
    """

    dev: str
    path: str
    host: str
    format: str
    size: int
    digest: str
    file: str


@dataclass(frozen=True)
class Backup:
    """All disks of a guest at one moment; made_at is in microseconds since the epoch."""

    guest: str
    job: str
    made_at: int
    disks: tuple[SavedDisk, ...]
    schema: int = 1


@dataclass(frozen=True)
class Restoration:
    """Write the disks of a backup where they were, or into a folder.

    backup is the path of the backup's folder or manifest; with backup_pool, what the names of its
    files begin with there.
    """

    operation: Operation
    backup: str
    backup_pool: str = ""
    directory: str = ""
