# SPDX-License-Identifier: GPL-2.0-or-later
"""Room for what the conversion writes, looked for before it begins.

A file system that runs full while an initrd is written fails the job, and the same guest under Xen
would fail at its next kernel update: better told in the plan.
"""

from collections.abc import Iterator

from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Firmware, Severity
from xen2kvmd.rule import rule

MIB = 1 << 20
FILES = 20 * MIB  # for configuration files, and what package scripts keep of them
GRUB = 8 * MIB  # its modules, 4 MiB of them, and core.img
GRUB_FILES = 350
UNPACKED = 4  # an initrd is put together from files that take so many times its packed size
WORK = "/var/tmp"  # where dracut, mkinitrd and update-initramfs put it together


@rule(guide="")
def room_for_changes(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make sure that the guest's file systems have room for a new initrd and a boot loader."""
    kernel = next(iter(case.facts.kernels), None)
    made = kernel and kernel.initrd and case.facts.initrd_tool
    initrd = guest.size(kernel.initrd) if kernel and made else 0
    loader = case.facts.firmware is Firmware.BIOS and not case.facts.boot_code and not case.direct
    # The old initrd stays until the new one is whole; that has more drivers.
    yield from _lacking(
        guest,
        "/boot",
        size=initrd + initrd // 4 + (GRUB if loader else 0),
        files=10 + (GRUB_FILES if loader else 0),
    )
    yield from _lacking(guest, WORK, size=initrd * UNPACKED, files=0)
    yield from _lacking(guest, "/", size=FILES, files=100)


def _lacking(guest: Tree, path: str, *, size: int, files: int) -> Iterator[Finding]:
    room = guest.room(path)
    if room and room.size < size:
        yield Finding(
            "too-little-space",
            f"The guest's file system with {path} has {room.size // MIB} MiB free; its conversion "
            f"may need {-(-size // MIB)} MiB.",
            Severity.BLOCKER,
            hint="Remove old kernels or logs in the guest, or make its file system larger.",
            place=path,
        )
    if room and room.files is not None and room.files < files:
        yield Finding(
            "too-few-inodes",
            f"The guest's file system with {path} has room for {room.files} more files; its "
            f"conversion may need {files}.",
            Severity.BLOCKER,
            hint="Remove what the guest does not need: often it is mail, sessions or caches.",
            place=path,
        )
