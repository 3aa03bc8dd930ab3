# SPDX-License-Identifier: GPL-2.0-or-later
"""Check the converted guest's file systems: what was damaged before is damaged in the copy, too.

It is done after the conversion and not before: a guest that was running when its disks were read
has a journal to replay, and a check that may not write takes that for damage. Mounting replayed it.
"""

import re
import shlex
from collections.abc import Iterator

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.tree import printable
from xen2kvmd.model import Finding, Severity

# None of them writes. The exit status that means damage: e2fsck(8), xfs_repair(8), btrfs-check(8),
# fsck.fat(8).
CHECKERS = {
    "ext2": ("e2fsck -f -n", 4),
    "ext3": ("e2fsck -f -n", 4),
    "ext4": ("e2fsck -f -n", 4),
    "xfs": ("xfs_repair -n", 1),
    "btrfs": ("btrfs check --readonly", 1),
    "vfat": ("fsck.fat -n", 1),
}
SECONDS = 90  # for one file system; a large one without KVM takes longer
OVERTIME = 124  # timeout(1)
SHOWN = 300  # characters of what a checker said


def check_file_systems(appliance: Appliance) -> Iterator[Finding]:
    """Unmount the guest's file systems and check each; yield what is wrong with them."""
    # libguestfs calls virtio disks sdX where it answers; its shell knows their real names only.
    names = (re.sub(r"^/dev/sd", "/dev/vd", name) for name in appliance.call("mountpoints"))
    mounted = sorted(names)
    appliance.call("umount_all")
    for device in mounted:
        command, damage = CHECKERS.get(appliance.call("vfs_type", device), ("", 0))
        if command:
            status, said = _examine(appliance, command, device)
            if status & damage and status != OVERTIME and status < 126:
                yield _damaged(device, said)
            elif status:
                yield _not_checked(device, command, status)


def _examine(appliance: Appliance, command: str, device: str) -> tuple[int, str]:
    """Return a checker's exit status and output. The shell is the appliance's, not this host's."""
    line = (
        f"timeout --kill-after 5 {SECONDS} {command} {shlex.quote(device)} >/tmp/said 2>&1; echo $?"
    )
    answer = appliance.shell(f"{line}; tail -c {SHOWN} /tmp/said")
    status, _, said = answer.partition("\n")
    return int(status), said


def _damaged(device: str, said: str) -> Finding:
    return Finding(
        "filesystem-damaged",
        f"The guest's file system on {device} is damaged, probably since before the migration: "
        f"{printable(' '.join(said.split()))}",
        Severity.WARNING,
        hint="Check it in the new guest before you trust it (fsck, xfs_repair, btrfs check), and "
        "the source's, too.",
        place=device,
    )


def _not_checked(device: str, command: str, status: int) -> Finding:
    why = f"was not done after {SECONDS} seconds" if status == OVERTIME else f"ended with {status}"
    return Finding(
        "filesystem-not-checked",
        f"The guest's file system on {device} was not checked: {command} {why}.",
        Severity.INFO,
        hint="xfs needs the package libguestfs-xfs on this host." if "xfs" in command else "",
        place=device,
    )
