# SPDX-License-Identifier: GPL-2.0-or-later
"""Check the guest's file systems, before its conversion and after it.

So it is known whether the conversion is to blame. Both times they were mounted before: a guest that
was running when its disks were read has a journal to replay, and a check that may not write takes
that for damage.
"""

import re
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from xen2kvmd.errors import MigrationError
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.model import Finding, Severity
from xen2kvmd.words import one_line

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
ROOT = "/sysroot"  # where the appliance has the guest's
SECONDS = 90.0  # for all of them together; large ones without KVM take longer
SECONDS_BEFORE = 30.0  # the source is shut down, and its users wait
OVERTIME = 124  # timeout(1)
SHOWN = 300  # characters of what a checker said

_NOTED = "error"  # in the state that ext's superblock has: "clean with errors" (dumpe2fs(8))

Before = Mapping[str, Finding | None]  # by device: None where it was sound


@dataclass(frozen=True)
class _Result:
    device: str
    command: str
    status: int
    said: str

    @property
    def is_damaged(self) -> bool:
        damage = next(code for command, code in CHECKERS.values() if command == self.command)
        return bool(self.status & damage) and self.status != OVERTIME and self.status < 126


def noted_damage(appliance: Appliance) -> Iterator[Finding]:
    """Yield which mounted ext file systems have noted errors themselves.

    That is a block of each: it can be read for a plan, and where a check would bring all inodes and
    tables over a network.
    """
    for device in sorted({device for device, *_ in _mounted(appliance)}):
        if appliance.call("vfs_type", device).startswith("ext"):
            state = ""
            with suppress(MigrationError):  # it is newer than the appliance's tune2fs
                state = appliance.call("tune2fs_l", device).get("Filesystem state", "")
            if _NOTED in state:
                yield Finding(
                    "filesystem-has-errors",
                    f"The source's file system, {device} in the new guest, has found errors in "
                    "itself.",
                    Severity.WARNING,
                    hint="Let the source check it before you migrate: fsck -f, or a start with "
                    "fsck.mode=force.",
                    place=device,
                )


def check_before(appliance: Appliance) -> Before:
    """Check each file system that is mounted, and mount it again; leave out what takes too long."""
    mounted = tuple(_mounted(appliance))
    found = {
        result.device: _damaged_before(result) if result.is_damaged else None
        for result in _examined(appliance, seconds=SECONDS_BEFORE)
        if result.is_damaged or not result.status
    }
    for device, path, options in mounted:
        appliance.call("mount_options", options, device, path)
    return found


def check_file_systems(appliance: Appliance, before: Before) -> Iterator[Finding]:
    """Unmount the guest's file systems and check each; yield what is wrong with them."""
    for result in _examined(appliance, seconds=SECONDS):
        if result.is_damaged:
            yield _damaged(result, before)
        elif result.status:
            yield _not_checked(result)


def _mounted(appliance: Appliance) -> Iterator[tuple[str, str, str]]:
    """Yield device, path and options of what is mounted, in the order in which it was."""
    for line in appliance.shell("cat /proc/self/mounts").splitlines():
        device, at, kind, options, *_ = line.split()
        path = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), at)
        if device.startswith("/dev/") and (path == ROOT or path.startswith(f"{ROOT}/")):
            subvolume = [word for word in options.split(",") if word.startswith("subvol=")]
            named = ",".join(subvolume) if kind == "btrfs" else ""
            yield device, path.removeprefix(ROOT) or "/", named


def _examined(appliance: Appliance, *, seconds: float) -> Iterator[_Result]:
    """Unmount all file systems, and check them in so many seconds."""
    mounted = sorted({device for device, *_ in _mounted(appliance)})
    appliance.call("umount_all")
    end = time.monotonic() + seconds
    for device in mounted:
        command, _ = CHECKERS.get(appliance.call("vfs_type", device), ("", 0))
        if command:
            left = max(1, int(end - time.monotonic()))
            yield _examine(appliance, command, device, seconds=left)


def _examine(appliance: Appliance, command: str, device: str, *, seconds: int) -> _Result:
    """Run a checker. The shell is the appliance's, not this host's."""
    line = (
        f"timeout --kill-after 5 {seconds} {command} {shlex.quote(device)} >/tmp/said 2>&1; echo $?"
    )
    answer = appliance.shell(f"{line}; tail -c {SHOWN} /tmp/said")
    status, _, said = answer.partition("\n")
    return _Result(device, command, int(status), one_line(said))


def _damaged_before(result: _Result) -> Finding:
    return Finding(
        "filesystem-damaged-before",
        f"The source's file system, {result.device} in the new guest, was damaged before its "
        "conversion.",
        Severity.WARNING,
        hint="Check it in the source, and migrate again, or in the new guest before you trust it: "
        "fsck, xfs_repair, btrfs check.",
        place=result.device,
        said=result.said,
    )


def _damaged(result: _Result, before: Before) -> Finding:
    since = "probably since before the migration"
    if result.device in before:
        since = "as it was before" if before[result.device] else "which it was not before"
    return Finding(
        "filesystem-damaged",
        f"The converted guest's file system on {result.device} is damaged, {since}.",
        Severity.WARNING,
        hint="Check it in the new guest before you trust it (fsck, xfs_repair, btrfs check), and "
        "the source's, too.",
        place=result.device,
        said=result.said,
    )


def _not_checked(result: _Result) -> Finding:
    overtime = result.status == OVERTIME
    why = "was not done in time" if overtime else f"ended with {result.status}"
    return Finding(
        "filesystem-not-checked",
        f"The guest's file system on {result.device} was not checked: {result.command} {why}.",
        Severity.INFO,
        hint="xfs needs the package libguestfs-xfs on this host."
        if "xfs" in result.command
        else "",
        place=result.device,
    )
