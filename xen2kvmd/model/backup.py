# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup of a guest's disks, as its manifest describes it."""

from dataclasses import dataclass

from xen2kvmd.model.request import Operation


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
    """Write the disks of the backup in a folder where they were, or below another folder."""

    operation: Operation
    backup: str
    directory: str = ""
