# SPDX-License-Identifier: GPL-2.0-or-later
"""Room for what the conversion writes, looked for before it begins.

A file system that runs full while an initrd is written fails the job, and the same guest under Xen
would fail at its next kernel update: better told in the plan.
"""

from collections.abc import Iterator, Sequence

from xen2kvmd.guest.initrd_tools import builder
from xen2kvmd.guest.operations import Copy, Operation, Write
from xen2kvmd.guest.tree import Room, Tree
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
    made = kernel and kernel.initrd and builder(guest, case.facts.initrd_tool, kernel)
    initrd = guest.size(kernel.initrd) if kernel and made else 0
    loader = case.facts.firmware is Firmware.BIOS and not case.facts.boot_code and not case.direct
    # The old initrd stays until the new one is whole; that has more drivers.
    made_in = kernel.initrd.rpartition("/")[0] if kernel and initrd else "/boot"
    again = initrd + initrd // 4
    if made_in != "/boot":  # on the EFI system partition
        yield from _lacking(guest, made_in, size=again, files=10)
        again = 0
    yield from _lacking(
        guest,
        "/boot",
        size=again + (GRUB if loader else 0),
        files=10 + (GRUB_FILES if loader else 0),
    )
    yield from _lacking(guest, WORK, size=initrd * UNPACKED, files=0)
    yield from _lacking(guest, "/", size=FILES, files=100)


def room_for_files(guest: Tree, operations: Sequence[Operation]) -> Iterator[Finding]:
    """Tell where files that rules write or copy have no room: a separate /usr, or the ESP.

    The root has had its share. A file that is written anew needs room while its old one is there.
    """
    needed: dict[int, tuple[str, int, int]] = {}
    root = guest.room("/")
    for step in operations:
        if not isinstance(step, Write | Copy):
            continue
        folder, room = _folder_of(guest, step.path)
        if room is None or (root and room.system == root.system):
            continue
        size = len(step.text) if isinstance(step, Write) else guest.size(step.source)
        first, so_far, files = needed.get(room.system, (folder, 0, 0))
        needed[room.system] = (first, so_far + size, files + 1)
    for folder, size, files in needed.values():
        yield from _lacking(guest, folder, size=size, files=files)


def _folder_of(guest: Tree, path: str) -> tuple[str, Room | None]:
    """Return the nearest folder above a path that is there, and its room."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        if room := guest.room(folder or "/"):
            return folder or "/", room
    return "/", None


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
