# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a disk has been copied for good, kept in a file: a copy that was cut off goes on from it.

The file is a row of records, an offset and a hash of 16 bytes. One without a hash says that all
before its offset is on the target's storage; what follows the last of these does not count.
"""

import os
import struct
from collections.abc import Iterable
from pathlib import Path

_RECORD = struct.Struct(">Q16s")
_DURABLE = bytes(16)


class Ledger:
    """The blocks that were copied, with the hash of each, up to an offset."""

    def __init__(self, path: Path) -> None:
        """Read the ledger, or begin one."""
        self.blocks: list[tuple[int, bytes]] = []
        self.upto = 0
        self._path = path
        data = path.read_bytes() if path.exists() else b""
        fresh: list[tuple[int, bytes]] = []
        whole = counted = 0
        for offset, part in _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size]):
            whole += _RECORD.size
            if part != _DURABLE:
                fresh.append((offset, part))
                continue
            self.blocks += fresh
            self.upto, counted = offset, whole
            fresh.clear()
        if counted < len(data):
            os.truncate(path, counted)

    def enter(self, blocks: Iterable[tuple[int, bytes]], *, upto: int) -> None:
        """Add blocks that are on the target's storage now, as is all before the offset upto."""
        records = [*blocks, (upto, _DURABLE)]
        with self._path.open("ab") as stream:
            stream.write(b"".join(_RECORD.pack(*record) for record in records))
            stream.flush()
            os.fsync(stream.fileno())
