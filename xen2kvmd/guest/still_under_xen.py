# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the converted guest would still start under Xen: told with the plan, and in the report.

The rules keep Xen's drivers, and UUID= and LABEL= mean the same on either side. What stands in the
way is a name: /dev/vda1 is not there under Xen.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from xen2kvmd.guest.install import RULE
from xen2kvmd.model import Case, Change, Finding, Severity

# Rules whose files a guest needs to boot. GRUB's device.map and LVM's lists are not among them:
# what they do not find is no reason to stop.
_NEEDED = frozenset(
    {
        *("fstab", "mount_units", "crypttab", "resume_device", "mdadm_devices"),
        *("grub_defaults", "boot_menu"),
    }
)
_DRIVERS = frozenset({"suse_initrd_modules", "dracut_drivers"})
_NEW_KERNEL = re.compile(r"^\+(?:linux-image|kernel)", re.MULTILINE)
_XEN_KERNEL_ONLY = re.compile(r"^-.*\bxen(blk|net)\b", re.MULTILINE)


def still_under_xen(changes: Sequence[Change], findings: Iterable[Finding], case: Case) -> Finding:
    """Return the finding for what a rehearsal changed inside the guest, and found."""
    reasons = tuple(dict.fromkeys(_reasons(changes, findings, case)))
    if not reasons:
        return Finding(
            "still-under-xen",
            "The converted guest would still start under Xen: nothing that it needs there is gone. "
            "It would ask for a login on ttyS0, not on Xen's console.",
            Severity.INFO,
        )
    return Finding(
        "not-under-xen",
        f"The converted guest may not start under Xen any more: {'; '.join(reasons)}.",
        Severity.INFO,
        hint="The source is not changed: 'xen2kvm rollback' goes back to that.",
    )


def _reasons(changes: Sequence[Change], findings: Iterable[Finding], case: Case) -> Iterator[str]:
    if case.joined:
        yield "volumes of its own became partitions of one disk"
    if any(finding.id == "default-kernel-changed" for finding in findings):
        yield "another kernel starts"
    if any(_NEW_KERNEL.search(change.diff) for change in changes if change.rule == RULE):
        yield "a kernel was installed, which may be the one that starts"
    new = "|".join(re.escape(name) for _, name in case.devices)
    names_kvm = re.compile(rf"^\+(?!\+\+).*/dev/(?:{new})[0-9]*\b", re.MULTILINE)
    for change in changes:
        if new and change.rule in _NEEDED and names_kvm.search(change.diff):
            yield f"{change.place} names disks as KVM does"
        made = change.rule == "grub_menu" and change.place.endswith("/grub.cfg")
        if made and not case.kernel_on_host:
            yield f"pygrub would read the new {change.place} and not the guest's own menu"
        if change.rule in _DRIVERS and _XEN_KERNEL_ONLY.search(change.diff):
            yield f"{change.place} has no drivers of Xen kernels any more"
