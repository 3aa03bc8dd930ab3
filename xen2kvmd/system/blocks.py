# SPDX-License-Identifier: GPL-2.0-or-later
"""Copying and hashing disks: one pass that reads, hashes and writes; holes are not touched.

A disk's digest is a hash over the hashes of its blocks, without the blocks that are all zeroes: so
it does not depend on the format, nor on where the holes are, and a sparse disk is hashed fast. It
finds what storage, memory and networks do to data, not what a person does: whoever can change a
disk can change the digest that lies beside it, too. XXH3 needs a twentieth of the time of blake2b.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import xxhash

from xen2kvmd.errors import Failed
from xen2kvmd.system import files
from xen2kvmd.system.ledger import Ledger
from xen2kvmd.system.measure import BLOCK, Progress
from xen2kvmd.system.opened_disk import Extent, OpenedDisk, opened_for_reading, opened_for_writing
from xen2kvmd.system.pace import UNPACED, Pace

DURABLE = 256 << 20  # bytes that are written between two entries into a ledger
AHEAD = 8  # blocks that may wait between reader and writers
WRITERS = 2  # threads: to give a new file its pages takes the kernel longer than reading them
ZEROES = bytes(BLOCK)

Side = tuple[str, str]  # of a copy: path or NBD URI, and format
Use = Callable[[int, bytearray, bytes], None]  # offset, data, and their hash


def copy(
    progress: Progress,
    *,
    source: Side,
    target: Side,
    ledger: Ledger | None = None,
    compressed: bool = False,
    pace: Pace = UNPACED,
) -> str:
    """Copy a disk into a new one, which reads as zeroes, and return the digest of what was read.

    progress(done, total) is called with bytes of data; what it raises ends the copy. A ledger is
    kept if it is given, and the copy goes on where it ends: with the same target, and the same
    source as it was. compressed is for qcow2, pace for all that is not zeroes. Raises Failed if a
    side cannot be opened, read or written.
    """
    with (
        opened_for_reading(*source) as reader,
        opened_for_writing(*target, compressed=compressed) as writer,
    ):
        if writer.size < reader.size:
            raise Failed(f"The disk {target[0]} is smaller than {source[0]}.")
        with _writing(writer, ledger) as write:
            result = _pass(reader, progress, write, known=ledger, pace=pace)
        writer.flush()
    return result


def digest(path: str, image_format: str, progress: Progress, *, size: int = 0) -> str:
    """Return the digest of a disk, or of as many bytes as are said: a place may round up.

    The page cache is dropped first, so it is what the storage holds.
    """
    if path.startswith("/"):
        files.forget(Path(path))
    with opened_for_reading(path, image_format) as reader:
        return _pass(reader, progress, lambda _offset, _data, _part: None, size=size)


def count(path: str, image_format: str) -> int:
    """Return how many bytes of a disk copy() may write: whole blocks, those with data in them."""
    with opened_for_reading(path, image_format) as reader:
        marks = _marks(reader.data(), reader.size)
        return sum(length for _, length in _marked(marks, reader.size))


def _pass(
    reader: OpenedDisk,
    progress: Progress,
    use: Use,
    *,
    size: int = 0,
    known: Ledger | None = None,
    pace: Pace = UNPACED,
) -> str:
    """Read all data of a disk, hand the blocks that hold any to `use`, and return the digest.

    What is known already is not read, nor what lies behind `size`.
    """
    size = min(size, reader.size) or reader.size
    upto = known.upto if known else 0
    whole = xxhash.xxh3_128(size.to_bytes(8, "big"))
    for offset, part in known.blocks() if known else ():
        whole.update(offset.to_bytes(8, "big") + part)
    marks = _marks(reader.data(), size)
    total = sum(length for _, length in _marked(marks, size))
    done = total - sum(length for _, length in _marked(marks, size, start=upto))
    progress(done, total)
    for offset, data in reader.read(_marked(marks, size, start=upto)):
        done += len(data)
        if data != ZEROES[: len(data)]:
            part = xxhash.xxh3_128_digest(data)
            whole.update(offset.to_bytes(8, "big") + part)
            use(offset, data, part)
            pace.wait(len(data), partial(progress, done, total))
        progress(done, total)
    return f"xxh3:{whole.hexdigest()}"


def _marks(extents: Iterable[Extent], size: int) -> bytearray:
    """Return a 1 for each block of a disk that holds any of the extents: there may be millions."""
    marks = bytearray(-(-size // BLOCK))
    for offset, length in extents:
        first, last = offset // BLOCK, -(-min(offset + length, size) // BLOCK)
        marks[first:last] = b"\1" * (last - first)
    return marks


def _marked(marks: bytearray, size: int, *, start: int = 0) -> Iterator[Extent]:
    """Yield each block that is marked, from an offset on; the last one may be short."""
    at = -(-start // BLOCK) - 1
    while (at := marks.find(1, at + 1)) >= 0:
        yield at * BLOCK, min(BLOCK, size - at * BLOCK)


@contextmanager
def _writing(writer: OpenedDisk, ledger: Ledger | None) -> Iterator[Use]:
    """Write in threads, so that reading and writing overlap; what fails there is raised here."""
    waiting: queue.Queue[tuple[int, bytearray] | None] = queue.Queue(AHEAD)
    failure: list[Exception] = []
    fresh: list[tuple[int, bytes]] = []  # given to the writers, and not in the ledger

    def work() -> None:
        while (item := waiting.get()) is not None:
            offset, data = item
            try:
                if not failure:
                    writer.write(data, offset)
            except Exception as error:  # raised again below: a thread that died would be waited for
                failure.append(error)
            finally:
                waiting.task_done()

    def check() -> None:
        if failure:
            raise failure[0]

    def write(offset: int, data: bytearray, part: bytes) -> None:
        check()
        waiting.put((offset, data))
        if ledger:
            fresh.append((offset, part))
            if len(fresh) * BLOCK >= DURABLE:
                waiting.join()
                check()
                writer.flush()
                ledger.enter(fresh, upto=offset + len(data))
                fresh.clear()

    threads = [threading.Thread(target=work, name="write") for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield write
    finally:
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()
    check()
