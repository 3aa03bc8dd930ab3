# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that we read ourselves, by blocks, so as to know at the end what was read of it."""

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass

from xen2kvmd.errors import MigrationError
from xen2kvmd.system.measure import BLOCK, Progress
from xen2kvmd.system.read_blocks import ReadBlocks

CACHE = 64  # blocks that are kept, of all disks together


@dataclass(frozen=True)
class Size:
    """How large a disk is, and how much of that its host has given it, in bytes."""

    size: int
    allocated: int


class BlockDisk(ABC):
    """A disk, which threads may share.

    One that is live, of a guest that runs, may differ each time it is read; it cannot be verified.
    """

    def __init__(self, size: Size, *, live: bool) -> None:
        self.size = size
        self.failure: MigrationError | None = None
        self.kept = CACHE
        self._live = live
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._read_blocks = ReadBlocks(self._count())

    def read(self, offset: int, count: int) -> bytes:
        """Read from the disk; the first error is kept, and raised each time from then on."""
        with self._lock:
            if self.failure:
                raise self.failure
            try:
                end = min(offset + count, self.size.size)
                first, last = offset // BLOCK, -(-end // BLOCK)
                data = b"".join(self._block(number) for number in range(first, last))
            except MigrationError as error:
                self.failure = error
                raise
            return data[offset - first * BLOCK :][:count]

    @property
    def reader(self) -> str:
        """Return what reads its data where it is, for a person."""
        return "xen2kvmd"

    @abstractmethod
    def stamp(self) -> list[int]:
        """Return what changes when a file is written: its time and size; nothing for a device."""

    @abstractmethod
    def verify(self, progress: Progress) -> None:
        """See that the disk still holds what was read. Raises VmRunning for a difference."""

    @abstractmethod
    def _block(self, number: int) -> bytes:
        """Return a block, of those that are kept or from the disk."""

    def _keep(self, number: int, data: bytes) -> None:
        self._blocks[number] = data
        while len(self._blocks) > self.kept:
            self._blocks.popitem(last=False)

    def _kept(self, number: int) -> bytes:
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _bytes(self, number: int, count: int = 1) -> int:
        return min(count * BLOCK, self.size.size - number * BLOCK)

    def _count(self) -> int:
        return -(-self.size.size // BLOCK)
