# SPDX-License-Identifier: GPL-2.0-or-later
"""What a caller asked to be done about a migration that is over."""

from dataclasses import dataclass

from xen2kvmd.model.request import Operation


@dataclass(frozen=True)
class Settlement:
    """Go back to the source (rollback), or keep to the target (finalize); each migration once."""

    operation: Operation
    migration: str  # id of its job
    shutdown_timeout: int = 60  # seconds that the target has to shut down before it is destroyed
    remove_target: bool = False  # the domain with its disks
    undefine_source: str = ""  # the name of the source, to be sure; its disks stay
    source_gone: bool = False  # its host need not be reached
    remove_backup: bool = False  # the domain XML that was kept of the source
