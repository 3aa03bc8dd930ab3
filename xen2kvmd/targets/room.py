# SPDX-License-Identifier: GPL-2.0-or-later
"""How much room a copy takes."""

from xen2kvmd.model import Allocation, SourceDisk


def room_of(disk: SourceDisk, allocation: Allocation) -> int:
    """Return the bytes of a sparse disk's data, or of the whole of a preallocated one."""
    return disk.size if allocation is Allocation.PREALLOCATED else disk.allocated
