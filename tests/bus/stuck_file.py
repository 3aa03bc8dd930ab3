# SPDX-License-Identifier: GPL-2.0-or-later
"""A file of a file system of our own (FUSE) that lets one process wait when it closes the file.

`python3 -m tests.bus.stuck_file PATH PROCESS` is the file system; it ends with its standard input.
It is a process of its own, for the test closes the file, too: in each program that it begins.
"""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct

from tests.bus.running import CHECKOUT

_IN = Struct("<IIQQIIIHH")  # struct fuse_in_header of linux/fuse.h
_OUT = Struct("<IiQ")
_INIT, _OPEN, _GETATTR, _FLUSH, _RELEASE = 26, 14, 3, 25, 18
_FORGET, _INTERRUPT = 2, 36  # these get no answer
_NOT_KNOWN = -38  # ENOSYS
_ANSWERS = {
    _INIT: Struct("<IIIIHHII32x").pack(7, 31, 0, 0, 16, 12, 4096, 1),
    _OPEN: Struct("<QII").pack(1, 0, 0),
    _GETATTR: Struct("<QII48x8xIIIIIIII").pack(60, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0),
    _FLUSH: b"",
    _RELEASE: b"",
}


class StuckFile:
    """The file at a path, and the process that has it."""

    def __init__(self, path: Path, server: "subprocess.Popen[str]") -> None:
        self.path = path
        self._server = server

    def waiting(self) -> int:
        """Return how many calls of close(2) wait."""
        return self._tell("count")

    def answer(self) -> int:
        """Let those that wait go on; return how many did."""
        return self._tell("answer")

    def _tell(self, order: str) -> int:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(order + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


@contextmanager
def stuck_file(folder: Path, *, process: int) -> Iterator[StuckFile]:
    """Give a file which a process has to wait for when it closes it; no other has."""
    path = folder / "stuck"
    path.touch()
    argv = [sys.executable, "-m", "tests.bus.stuck_file", str(path), str(process)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, cwd=CHECKOUT) as server:
        file = StuckFile(path, server)
        file.waiting()  # it is mounted
        yield file


class _Server:
    def __init__(self, device: int, process: int) -> None:
        self._device = device
        self._process = process
        self._waiting: list[int] = []  # unanswered requests

    def serve(self) -> None:
        """Answer the kernel, and the test, until that is gone."""
        ready = select.poll()
        for descriptor in (self._device, sys.stdin.fileno()):
            ready.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in ready.poll():
                if descriptor == self._device:
                    self._take(os.read(self._device, 1 << 16))
                    continue
                order = os.read(descriptor, 100).decode()
                told = f"{len(self._waiting)}\n"
                if order != "count\n":
                    self._answer_all()
                if not order:
                    return
                os.write(sys.stdout.fileno(), told.encode())

    def _take(self, asked: bytes) -> None:
        _, operation, request, _, _, _, thread, *_ = _IN.unpack_from(asked)
        if operation == _FLUSH and Path(f"/proc/{self._process}/task/{thread}").exists():
            self._waiting.append(request)
        elif operation not in (_FORGET, _INTERRUPT):
            self._answer(operation, request)

    def _answer_all(self) -> None:
        while self._waiting:
            self._answer(_FLUSH, self._waiting.pop())

    def _answer(self, operation: int, request: int) -> None:
        body = _ANSWERS.get(operation, b"")
        error = 0 if operation in _ANSWERS else _NOT_KNOWN
        os.write(self._device, _OUT.pack(_OUT.size + len(body), error, request) + body)


def _main(path: str, process: int) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=100600,user_id=0,group_id=0"
    mount = ("mount", "-i", "-t", "fuse", "-o", options, "stuck", path)
    subprocess.run(mount, pass_fds=[device], check=True)
    try:
        _Server(device, process).serve()
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
