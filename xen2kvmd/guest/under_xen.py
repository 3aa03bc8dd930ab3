# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the converted guest would still start under Xen: told with the plan, and in the report.

No rule takes away what a guest needs there: Xen's drivers stay in the initrd, its console in the
menu's files. What cannot be had both ways is a disk's name, where a file names it and not its UUID.
"""

import re
from collections.abc import Iterable

from xen2kvmd.model import Change, Finding, Severity

_NAMES_DISK = re.compile(r"^\+(?!\+\+).*/dev/(?:vd|sd)[a-z]", re.MULTILINE)
_HARMLESS = ("device.map",)  # read by grub-install alone
_SHOWN = 3


def under_xen(changes: Iterable[Change], findings: Iterable[Finding]) -> Finding:
    """Return the finding for a rehearsal's changes and findings."""
    places = dict.fromkeys(
        change.place
        for change in changes
        if _NAMES_DISK.search(change.diff) and not change.place.endswith(_HARMLESS)
    )
    reasons = []
    if places:
        shown = ", ".join(list(places)[:_SHOWN]) + (" and others" * (len(places) > _SHOWN))
        reasons.append(f"its disks are named as KVM does in {shown}")
    if any(finding.id == "default-kernel-changed" for finding in findings):
        reasons.append("another kernel starts")
    if not reasons:
        return Finding(
            "still-under-xen",
            "The converted guest would still start under Xen: its files name no disk as KVM does.",
            Severity.INFO,
        )
    return Finding(
        "not-under-xen",
        f"The converted guest may not start under Xen any more: {'; '.join(reasons)}.",
        Severity.INFO,
        hint="The source is not changed: 'xen2kvm rollback' goes back to that.",
    )
