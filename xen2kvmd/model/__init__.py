# SPDX-License-Identifier: GPL-2.0-or-later
"""The nouns. Start reading here.

    Request ─▶ source ─▶ domain XML + SourceDisks ─┐
                         inside the guest: Facts ──┼─▶ Case ─▶ rules ─▶ Changes, Findings ─▶ Plan
                         the target host: Target ──┘

Sizes are bytes, times are microseconds since the epoch, unless a name says otherwise.
"""

from xen2kvmd.model.backup import MANIFEST, Backup, BackupPlace, Restoration, SavedDisk
from xen2kvmd.model.findings import Change, Finding, Severity
from xen2kvmd.model.guest import BootArea, Facts, Family, Firmware, Kernel
from xen2kvmd.model.installed import Installed
from xen2kvmd.model.limits import Limits
from xen2kvmd.model.plan import Plan, PlannedDisk, PlannedFile
from xen2kvmd.model.request import (
    LONGEST_KEY,
    Allocation,
    DiskFormat,
    DiskKey,
    Engine,
    Operation,
    PathMap,
    ReportFormat,
    Request,
    ShutdownMode,
    SourceForm,
)
from xen2kvmd.model.settlement import Settlement
from xen2kvmd.model.source import (
    Backing,
    BootFile,
    Joined,
    ListedDisk,
    ListedGuest,
    Nic,
    Part,
    SourceDisk,
)
from xen2kvmd.model.target import (
    Case,
    CephPool,
    LinkKind,
    MacPolicy,
    Monitor,
    NicMap,
    Target,
    VirtType,
    Volume,
    export_pool,
)

__all__ = [
    "LONGEST_KEY",
    "MANIFEST",
    "Allocation",
    "Backing",
    "Backup",
    "BackupPlace",
    "BootArea",
    "BootFile",
    "Case",
    "CephPool",
    "Change",
    "DiskFormat",
    "DiskKey",
    "Engine",
    "Facts",
    "Family",
    "Finding",
    "Firmware",
    "Installed",
    "Joined",
    "Kernel",
    "Limits",
    "LinkKind",
    "ListedDisk",
    "ListedGuest",
    "MacPolicy",
    "Monitor",
    "Nic",
    "NicMap",
    "Operation",
    "Part",
    "PathMap",
    "Plan",
    "PlannedDisk",
    "PlannedFile",
    "ReportFormat",
    "Request",
    "Restoration",
    "SavedDisk",
    "Settlement",
    "Severity",
    "ShutdownMode",
    "SourceDisk",
    "SourceForm",
    "Target",
    "VirtType",
    "Volume",
    "export_pool",
]
