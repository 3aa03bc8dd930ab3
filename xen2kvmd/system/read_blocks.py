# SPDX-License-Identifier: GPL-2.0-or-later
"""What was read of a disk: the hash of each block, packed, for a disk of terabytes has millions."""

from collections.abc import Iterator

HASH = 16  # bytes that are kept of a hash


class ReadBlocks:
    """The hashes of the blocks that were read, by their numbers."""

    def __init__(self, count: int) -> None:
        self._hashes = bytearray(count * HASH)  # memory is taken where something is written
        self._read = bytearray(count)

    def __contains__(self, number: int) -> bool:
        return bool(self._read[number])

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers, in order."""
        at = -1
        while (at := self._read.find(1, at + 1)) >= 0:
            yield at

    def __getitem__(self, number: int) -> bytes:
        return bytes(self._hashes[number * HASH : (number + 1) * HASH])

    def first(self, number: int, found: bytes) -> bool:
        """Keep the hash of a block if it is the first; tell whether it is that of the first."""
        found = found[:HASH]
        if number not in self:
            self._hashes[number * HASH : (number + 1) * HASH] = found
            self._read[number] = 1
        return self[number] == found
