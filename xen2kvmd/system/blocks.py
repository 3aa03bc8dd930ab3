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

import nbd
import xxhash

from xen2kvmd.errors import Failed
from xen2kvmd.system.opened_disk import Extent, OpenedDisk, opened_for_reading, opened_for_writing

BLOCK = 1 << 20  # bytes; the unit of hashing, and of reading and writing
AHEAD = 16  # blocks that may wait between reader and writer
ZEROES = bytes(BLOCK)

Progress = Callable[[int, int], None]


def copy(
    source: str, source_format: str, target: str, target_format: str, progress: Progress
) -> str:
    """Copy a disk into a new one, which reads as zeroes, and return the digest of what was read.

    progress(done, total) is called with bytes of data; what it raises ends the copy. Raises Failed
    if a side cannot be opened, read or written.
    """
    with (
        opened_for_reading(source, source_format) as reader,
        opened_for_writing(target, target_format) as writer,
    ):
        if writer.size < reader.size:
            raise Failed(f"The disk {target} is smaller than {source}.")
        with _writing(writer) as write:
            result = _pass(reader, progress, write)
        writer.flush()
    return result


def digest(path: str, image_format: str, progress: Progress) -> str:
    """Return the digest of a disk."""
    with opened_for_reading(path, image_format) as reader:
        return _pass(reader, progress, lambda _offset, _data: None)


def _pass(reader: OpenedDisk, progress: Progress, use: Callable[[int, bytearray], None]) -> str:
    """Read all data of a disk, hand the blocks that hold any to `use`, and return the digest."""
    blocks = list(_blocks(reader.data(), reader.size))
    total = sum(length for _, length in blocks)
    whole = xxhash.xxh3_128(reader.size.to_bytes(8, "big"))
    done = 0
    progress(0, total)
    for offset, data in reader.read(blocks):
        done += len(data)
        if data != ZEROES[: len(data)]:
            whole.update(offset.to_bytes(8, "big") + xxhash.xxh3_128_digest(data))
            use(offset, data)
        progress(done, total)
    return f"xxh3:{whole.hexdigest()}"


def _blocks(extents: Iterable[Extent], size: int) -> Iterator[Extent]:
    """Yield each block of a disk that holds any of the extents, once; the last may be short."""
    following = 0
    for offset, length in extents:
        for number in range(max(offset // BLOCK, following), -(-(offset + length) // BLOCK)):
            yield number * BLOCK, min(BLOCK, size - number * BLOCK)
            following = number + 1


@contextmanager
def _writing(writer: OpenedDisk) -> Iterator[Callable[[int, bytearray], None]]:
    """Write in a thread, so that reading and writing overlap; what fails there is raised here."""
    waiting: queue.Queue[tuple[int, bytearray] | None] = queue.Queue(AHEAD)
    failure: list[Exception] = []

    def work() -> None:
        while (item := waiting.get()) is not None:
            if not failure:
                try:
                    writer.write(item[1], item[0])
                except (nbd.Error, OSError) as error:
                    failure.append(error)

    def write(offset: int, data: bytearray) -> None:
        if failure:
            raise failure[0]
        waiting.put((offset, data))

    thread = threading.Thread(target=work, name="write")
    thread.start()
    try:
        yield write
    finally:
        waiting.put(None)
        thread.join()
    if failure:
        raise failure[0]
