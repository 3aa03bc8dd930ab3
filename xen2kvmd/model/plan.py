# SPDX-License-Identifier: GPL-2.0-or-later
"""All that a migration will do."""

from dataclasses import dataclass

from xen2kvmd.model.findings import Change, Finding, Severity
from xen2kvmd.model.guest import Facts
from xen2kvmd.model.source import BootFile, SourceDisk
from xen2kvmd.model.target import Volume


@dataclass(frozen=True)
class PlannedDisk:
    """A disk with where it goes."""

    source: SourceDisk
    volume: Volume
    device: str  # its name in the converted guest: vda


@dataclass(frozen=True)
class PlannedFile:
    """A kernel or an initrd for direct kernel boot, with where it goes."""

    source: BootFile
    volume: Volume


@dataclass(frozen=True)
class Plan:
    """All that a migration will do, made without changing anything.

    digest names the plan's content without times and estimates: the same source planned twice has
    the same digest. seconds and downtime are estimates.
    """

    name: str  # of the target domain
    source_name: str
    facts: Facts
    disks: tuple[PlannedDisk, ...]
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    domain_xml: str  # of the target
    bytes_total: int
    seconds: int
    downtime: int
    digest: str = ""
    boot_files: tuple[PlannedFile, ...] = ()

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """All that is made on the target."""
        disks = tuple(disk.volume for disk in self.disks)
        return (*disks, *(file.volume for file in self.boot_files))

    def blockers(self, waived: tuple[str, ...] = ()) -> tuple[Finding, ...]:
        return tuple(
            found
            for found in self.findings
            if found.severity is Severity.BLOCKER and found.id not in waived
        )
