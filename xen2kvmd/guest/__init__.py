# SPDX-License-Identifier: GPL-2.0-or-later
"""Inside the guest, offline: a rules file per part of it.

    inspect(appliance) ─▶ Facts          what it is; mounts its file systems
    usage(appliance) ─▶ Usage            how much of each disk these use
    prepare, install(appliance, ...)     packages that the guest lacks, if the caller gives any
    carry(appliance, facts, kernel, ...) the Xen host's kernel, if it has none of its own;
    without_modules(appliance, kernel)   for one that it does not get
    rehearse(tree, case) ─▶ Rehearsed    RULES run on a copy in memory: operations, their diffs
    apply(tree, operations) ─▶ Findings  does these operations, and nothing else
    check(appliance, case) ─▶ Findings   looks at what came out: initrd, menu, boot code
    trim(appliance)                      what is not used is not copied

The same appliance serves all, so a conversion costs one launch.
"""

from xen2kvmd.guest.check import check
from xen2kvmd.guest.filesystems import trim
from xen2kvmd.guest.fsck import Before, check_before, check_file_systems, noted_damage
from xen2kvmd.guest.host_kernel import HostFile, carry, version_of, without_modules
from xen2kvmd.guest.inspect import inspect
from xen2kvmd.guest.install import Allowed, Intent, install, prepare
from xen2kvmd.guest.mount import mount_guest
from xen2kvmd.guest.operations import apply
from xen2kvmd.guest.rehearse import Rehearsed, rehearse
from xen2kvmd.guest.rules import RULES
from xen2kvmd.guest.still_under_xen import still_under_xen
from xen2kvmd.guest.usage import usage
from xen2kvmd.guest.windows import unknown, windows

__all__ = [
    "RULES",
    "Allowed",
    "Before",
    "HostFile",
    "Intent",
    "Rehearsed",
    "apply",
    "carry",
    "check",
    "check_before",
    "check_file_systems",
    "inspect",
    "install",
    "mount_guest",
    "noted_damage",
    "prepare",
    "rehearse",
    "still_under_xen",
    "trim",
    "unknown",
    "usage",
    "version_of",
    "windows",
    "without_modules",
]
