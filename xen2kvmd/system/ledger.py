# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a disk has been copied for good, kept in a file: a copy that was cut off goes on from it.

The file is a row of records, an offset and a hash of 16 bytes. One without a hash says that all
before its offset is on the target's storage; what follows the last of these does not count.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_RECORD = struct.Struct(">Q16s")
_DURABLE = bytes(16)


class Ledger:
    """The blocks that were copied, with the hash of each, up to an offset."""

    def __init__(self, path: Path) -> None:
        """Read the ledger, or begin one."""
        self.upto = 0
        self._path = path
        counted = 0
        for number, (offset, part) in enumerate(self._records(), 1):
            if part == _DURABLE:
                self.upto, counted = offset, number * _RECORD.size
        path.touch()
        os.truncate(path, counted)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield the blocks, of which there may be millions, and the hash of each."""
        return (record for record in self._records() if record[1] != _DURABLE)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        if self._path.exists():
            with self._path.open("rb") as stream:
                while len(record := stream.read(_RECORD.size)) == _RECORD.size:
                    yield _RECORD.unpack(record)

    def enter(self, blocks: Iterable[tuple[int, bytes]], *, upto: int) -> None:
        """Add blocks that are on the target's storage now, as is all before the offset upto."""
        records = [*blocks, (upto, _DURABLE)]
        with self._path.open("ab") as stream:
            stream.write(b"".join(_RECORD.pack(*record) for record in records))
            stream.flush()
            os.fsync(stream.fileno())
