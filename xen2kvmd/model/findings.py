# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person must know, and what changes."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; a blocker stops a migration unless its id is waived."""

    INFO = "info"
    WARNING = "warning"
    BLOCKER = "blocker"


@dataclass(frozen=True)
class Finding:
    """Something that a person must know: what is lost, what was not understood, what to do.

    id is stable, lower case with dashes: scripts, waivers and searches use it. place is a file and
    line of the guest ("/etc/fstab:3") or a path in the domain XML ("devices/disk[xvda]"). said is
    what a program or the guest printed, for those only who may read the job's report.
    """

    id: str
    message: str
    severity: Severity = Severity.WARNING
    hint: str = ""
    place: str = ""
    said: str = ""


@dataclass(frozen=True)
class Change:
    """What one rule changes in one place: a unified diff, or a command that runs in the guest."""

    rule: str
    guide: str
    summary: str
    place: str
    diff: str = ""
    command: tuple[str, ...] = ()
