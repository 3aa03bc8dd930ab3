# SPDX-License-Identifier: GPL-2.0-or-later
"""How much room copies take, and whether there is so much."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xen2kvmd.errors import InsufficientSpace
from xen2kvmd.model import Allocation, SourceDisk
from xen2kvmd.words import amount

BACKUP = "backup"  # of the source's disks
SCRATCH = "scratch"  # in the job's own folder
_HERE = "the file system "


@dataclass(frozen=True)
class Need:
    """What wants room, how many bytes, in which store, and how many bytes are free there.

    part is the <target dev> of a volume, or BACKUP, or SCRATCH, or the path of a file.
    """

    what: str
    count: int
    store: str
    available: int
    part: str = ""


def room_of(disk: SourceDisk, allocation: Allocation) -> int:
    """Return the bytes of a sparse disk's data, or of the whole of a preallocated one."""
    return disk.size if allocation is Allocation.PREALLOCATED else disk.allocated


def store_of(folder: Path) -> str:
    """Return the name of the file system of a folder: major:minor, as in findmnt(8)."""
    number = folder.stat().st_dev
    return f"{_HERE}{os.major(number)}:{os.minor(number)}"


def is_here(store: str) -> bool:
    """Tell whether a store is a file system of this host."""
    return store.startswith(_HERE)


def check_room(needs: Iterable[Need]) -> None:
    """Raise InsufficientSpace if a store has not enough for all that comes there together."""
    stores: dict[str, list[Need]] = {}
    for need in needs:
        stores.setdefault(need.store, []).append(need)
    for store, wanted in stores.items():
        count, available = sum(need.count for need in wanted), min(n.available for n in wanted)
        if count > available:
            each = ", ".join(f"{need.what} {amount(need.count)}" for need in wanted)
            raise InsufficientSpace(
                f"{amount(count)} are needed and {amount(available)} are free on {store}: {each}.",
                hint="Make room, or choose another pool or directory for some of it. "
                "'findmnt -o +MAJ:MIN' shows file systems by their numbers.",
            )
