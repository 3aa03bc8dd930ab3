# SPDX-License-Identifier: GPL-2.0-or-later
"""How much room copies take, and whether there is so much.

What a sparse copy takes, nobody knows before it is made: a block device does not tell where data
are, and of what its guest has deleted, or never given to a file system, some are zeroes and some
are not. So there are two figures. Without room for the less nothing is begun; where there is room
for that, and none for the more, a person decides.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xen2kvmd.errors import InsufficientSpace
from xen2kvmd.model import Allocation, Finding, Severity, SourceDisk
from xen2kvmd.system import files
from xen2kvmd.words import amount

UNCERTAIN = "room-uncertain"  # the finding that a person waives
BACKUP = "backup"  # of the source's disks
SCRATCH = "scratch"  # in the job's own folder
_HERE = "the file system "


@dataclass(frozen=True)
class Span:
    """How many bytes something takes, at least and at most."""

    least: int
    most: int


@dataclass(frozen=True)
class Need:
    """What wants room, how many bytes, in which store, and how many bytes are free there.

    part is the <target dev> of a volume, or BACKUP, or SCRATCH, or the path of a file. doubt is how
    many bytes of the count it may not take.
    """

    what: str
    count: int
    store: str
    available: int
    part: str = ""
    doubt: int = 0

    @property
    def least(self) -> int:
        return self.count - self.doubt


def room_of(disk: SourceDisk, allocation: Allocation) -> Span:
    """Return what a sparse disk's data take, or the whole of a preallocated one."""
    if allocation is Allocation.PREALLOCATED:
        return Span(disk.size, disk.size)
    return Span(disk.least, disk.most)


def store_of(folder: Path) -> str:
    """Return the name of the file system of a folder: major:minor, as in findmnt(8)."""
    number = folder.stat().st_dev
    return f"{_HERE}{os.major(number)}:{os.minor(number)}"


def _shown(store: str) -> str:
    """Return a store as a person knows it: a file system by where it is mounted.

    That of a subvolume of btrfs has a number that the kernel's list of mounts has not.
    """
    points = files.mount_points(store.removeprefix(_HERE)) if is_here(store) else []
    return f"the file system of {min(points, key=len)}" if points else store


def is_here(store: str) -> bool:
    """Tell whether a store is a file system of this host."""
    return store.startswith(_HERE)


def check_room(needs: Iterable[Need]) -> None:
    """Raise InsufficientSpace if a store has not even the least of what comes there together."""
    for store, wanted in _by_store(needs).items():
        least, available = sum(need.least for need in wanted), _available(wanted)
        if least > available:
            raise InsufficientSpace(
                f"{amount(least)} are needed and {amount(available)} are free on {_shown(store)}: "
                f"{', '.join(f'{need.what} {amount(need.least)}' for need in wanted)}.",
                hint="Make room, or choose another pool or directory for some of it.",
            )


def doubts(needs: Iterable[Need]) -> Mapping[str, Finding]:
    """Return a finding for each store of which nobody knows whether it has enough for all."""
    return {
        store: _doubt(store, wanted)
        for store, wanted in _by_store(needs).items()
        if sum(need.count for need in wanted) > _available(wanted)
    }


def _doubt(store: str, wanted: Sequence[Need]) -> Finding:
    least, most = sum(need.least for need in wanted), sum(need.count for need in wanted)
    return Finding(
        UNCERTAIN,
        f"Between {amount(least)} and {amount(most)} are needed and {amount(_available(wanted))} "
        f"are free on {_shown(store)}: {', '.join(map(_span, wanted))}.",
        Severity.BLOCKER,
        hint="The less is what the guest's file systems use, where that is known. What else there "
        "is, nobody knows before it is read: old data are copied, zeroes are not. Make room, or "
        "choose another pool or directory; or waive this: what is free is watched then, and before "
        "it ends the job does, and is undone.",
    )


def _span(need: Need) -> str:
    least = f"{amount(need.least)} to " if need.doubt else ""
    return f"{need.what} {least}{amount(need.count)}"


def _by_store(needs: Iterable[Need]) -> Mapping[str, list[Need]]:
    stores: dict[str, list[Need]] = {}
    for need in needs:
        stores.setdefault(need.store, []).append(need)
    return stores


def _available(wanted: Iterable[Need]) -> int:
    return min(need.available for need in wanted)
