# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk of another host, read there by its qemu-nbd, or by sh, dd and cmp, which each Linux has.

A small loop there (system/reader_there.py) answers requests for blocks: with a word for one that is
all zeroes, or with its data, unless a qemu-nbd there gives us those. (gzip would pack them, but is
slower than most networks: 32 MB/s here.) Behind a block of zeroes it looks how far they go, by one
program for many blocks: most of a disk is empty. The hash of each block is kept: at the end the
other host hashes the same blocks anew, and looks again at the zeroes, which proves that we have
what its disk holds, and that nobody wrote to it meanwhile. Nothing is installed there, and nothing
written but a folder with a socket in /tmp.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath

from xen2kvmd.errors import InvalidDisk, MigrationError, Unsupported, VmRunning
from xen2kvmd.system import heartbeat, reader_there, reads_there
from xen2kvmd.system.block_disk import BlockDisk, Size
from xen2kvmd.system.measure import BLOCK, Progress
from xen2kvmd.system.reads_there import ReadsThere
from xen2kvmd.system.ssh import Connection, Program

AHEAD = 8  # blocks that are asked for before they are needed, where reading goes straight on
SERVED_AHEAD = 4  # the same of qemu-nbd, which sends zeroes, too: where data was before
FIRM = 2  # blocks of data in a row, behind which more is expected
RUN = 64  # blocks that one look for zeroes covers
ZEROES = bytes(BLOCK)


class RemoteDisk(BlockDisk):
    """A disk of another host, made by opened()."""

    def __init__(
        self, program: Program, path: str, size: Size, *, served: ReadsThere | None, live: bool
    ) -> None:
        self._program = program
        self._path = path
        self._served = served
        self._asked: deque[tuple[str, int, int]] = deque()  # what, the first block, how many
        self._next = 0
        self._run = 0  # blocks of data that were read in a row
        self._edge = -1  # a block behind zeroes, which holds data
        super().__init__(size, live=live)
        self._zeroes = bytearray(self._count())  # 1 for a block that holds nothing else

    @property
    def reader(self) -> str:
        return "qemu-nbd" if self._served else "sh, dd and cmp"

    def stamp(self) -> list[int]:
        with self._lock:
            self._drain()
            self._ask("state", 0)
            return [int(word) for word in self._program.line().split()]

    def verify(self, progress: Progress) -> None:
        with self._lock:  # the host hashes all that was read, and looks at its zeroes again
            self._drain()
            asked, total, done = self._proofs(), sum(count for *_, count in self._proofs()), 0
            pending: deque[tuple[str, int, int]] = deque()
            while True:
                for proof in islice(asked, AHEAD - len(pending)):
                    pending.append(proof)
                    self._ask(*proof)
                if not pending:
                    return
                what, number, count = pending.popleft()
                answer = self._program.line().split()[0]
                if what == "zeros":
                    same = answer == str(self._bytes(number, count))
                else:
                    same = self._read_blocks.first(number, bytes.fromhex(answer))
                if not same:
                    raise self._changed()
                done += count
                progress(done * BLOCK, total * BLOCK)

    def _proofs(self) -> Iterator[tuple[str, int, int]]:
        """Yield what to ask to see all that was read again: a hash of data, a look at zeroes."""
        for number in self._read_blocks:
            yield "hash", number, 1
        at = 0
        while (at := self._zeroes.find(1, at)) >= 0:
            end = self._zeroes.find(0, at, at + RUN)
            count = (end if end >= 0 else min(at + RUN, self._count())) - at
            yield "zeros", at, count
            at += count

    def _block(self, number: int) -> bytes:
        """Return a block, and ask for those after it if they seem to be wanted."""
        while not self._has(number):
            if not self._is_asked(number):
                self._look_at(number)
            self._receive()
        self._run = 0 if self._zeroes[number] else 1 + (number == self._next) * self._run
        if number == self._next:
            self._look_ahead(number + 1)
        self._next = number + 1
        if self._zeroes[number]:
            self._zeroes[number] = not self._live  # a guest that runs may write there
            return ZEROES[: self._bytes(number)]
        return self._kept(number)

    def _look_at(self, number: int) -> None:
        """Ask for a block; where qemu-nbd would send zeroes, too, whether it is some."""
        if self._served and number != self._edge and self._run < FIRM:
            self._look_for_zeroes(number)
        else:
            self._request("read", number)

    def _look_for_zeroes(self, number: int) -> None:
        self._request("zeros", number, min(RUN, self._count() - number))

    def _look_ahead(self, first: int) -> None:
        """Ask for the blocks that follow; behind zeroes, when all is answered, how far they go."""
        soon = range(first, min(first + AHEAD, self._count()))
        unknown = [at for at in soon if not (self._has(at) or self._is_asked(at))]
        if not self._zeroes[first - 1] or self._edge in unknown:
            for number in unknown:
                if not self._served or number == self._edge or self._expects_data(number - first):
                    self._request("read", number)
        elif unknown and not self._asked:
            self._look_for_zeroes(unknown[0])

    def _expects_data(self, ahead: int) -> bool:
        """Tell whether a block so far ahead seems to hold data, as many did that were read."""
        return self._run >= FIRM and ahead < min(self._run, SERVED_AHEAD)

    def _has(self, number: int) -> bool:
        return bool(self._zeroes[number]) or number in self._blocks

    def _is_asked(self, number: int) -> bool:
        return any(first <= number < first + count for _, first, count in self._asked)

    def _request(self, what: str, number: int, count: int = 1) -> None:
        if what == "read" and self._served:
            self._served.ask(number * BLOCK, self._bytes(number))
        else:
            self._ask(what, number, count)
        self._asked.append((what, number, count))

    def _drain(self) -> None:
        while self._asked:
            self._receive()

    def _receive(self) -> None:
        """Take the answer to the oldest request."""
        what, number, count = self._asked.popleft()
        if what == "read" and self._served:
            self._take_served(self._served, number)
            return
        answer = self._program.line().strip()
        if what == "zeros":
            whole = self._bytes(number, count)
            found = count if int(answer) == whole else int(answer) // BLOCK
            for at in range(number, number + found):
                self._take_zeroes(at)
            self._edge = number + found
        elif answer == "zero":
            self._take_zeroes(number)
        else:
            length = self._bytes(number)
            data = self._program.stdout.read(length)
            if len(data) != length:
                raise self._program.lost()
            self._take(number, data)

    def _take_served(self, served: ReadsThere, number: int) -> None:
        """Take a block of qemu-nbd; where it fails, dd reads on, and tells why it cannot."""
        data = served.take()
        if data is None:
            again = [number, *(first for what, first, _ in self._asked if what == "read")]
            self._asked = deque(each for each in self._asked if each[0] != "read")
            self._served = None
            for each in again:
                self._request("read", each)
        elif data == ZEROES[: len(data)]:
            self._take_zeroes(number)
        else:
            self._take(number, data)

    def _take_zeroes(self, number: int) -> None:
        if number in self._read_blocks and not self._live:
            raise self._changed()
        self._zeroes[number] = 1
        self._blocks.pop(number, None)

    def _take(self, number: int, data: bytes) -> None:
        """Keep a block that was read, and its hash."""
        found = hashlib.sha256(data).digest()
        if not self._read_blocks.first(number, found) and not self._live:
            raise self._changed()
        self._keep(number, data)

    def _ask(self, what: str, number: int, count: int = 1) -> None:
        request = f"{what} {number} {self._bytes(number, count)} {count}\n"
        try:
            self._program.stdin.write(request.encode())
            self._program.stdin.flush()
        except BrokenPipeError as error:
            raise self._program.lost() from error

    def _changed(self) -> MigrationError:
        return VmRunning(
            f"The disk {self._path} of the host {self._program.host} was written to while it was "
            "read.",
            hint="Shut the source guest down, see that nothing starts it, and migrate again.",
        )


@contextmanager
def opened(connection: Connection, path: str, *, folder: Path, live: bool) -> Iterator[RemoteDisk]:
    """Open a file or block device of another host, for reading; our socket is made in the folder.

    Raises InvalidDisk, Unsupported and ssh's errors.
    """
    there = PurePosixPath(reader_there.folder())
    with (
        connection.program(reader_there.argv(path, str(there))) as program,
        heartbeat.beating(program.stdin),
        ExitStack() as stack,
    ):
        size, is_served = _begun(program, path)
        here, socket = folder / there.name, str(there / "socket")
        served = (
            reads_there.opened(stack, connection, here=here, there=socket) if is_served else None
        )
        yield RemoteDisk(program, path, size, served=served, live=live)


def _begun(program: Program, path: str) -> tuple[Size, bool]:
    """Return a disk's size, and whether a server there has it. Raises InvalidDisk, Unsupported."""
    word, *rest = program.line().split()
    if word == "ready":
        return Size(int(rest[0]), int(rest[1])), rest[2:] == ["served"]
    where = f"The disk {path} of the host {program.host}"
    if word == "sizeless":
        raise Unsupported(
            f"{where} is a block device whose size that host does not tell.",
            hint="Install blockdev there, of util-linux, or copy the disk into a file.",
        )
    if word == "lacks":
        raise Unsupported(
            f"The host {program.host} has no {rest[0]}, which reading its disks needs.",
            hint="Install it there.",
        )
    raise {
        "absent": InvalidDisk(
            f"{where} cannot be found.",
            hint="Correct its <source> in the domain XML, or map it with --path-map.",
        ),
        "denied": InvalidDisk(
            f"{where} cannot be read: permission denied.",
            hint="Log in there as a user who may read it: root, as a rule.",
        ),
    }.get(word) or InvalidDisk(f"{where} is neither a file nor a block device.")
