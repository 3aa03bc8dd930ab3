# SPDX-License-Identifier: GPL-2.0-or-later
"""A read-only NBD server in a thread: what Python can read, QEMU can.

It speaks the part of the protocol that QEMU and libnbd need (NBD's doc/proto.md): the fixed
newstyle handshake with NBD_OPT_GO, and simple replies. nbdkit could do it by a plugin in Python;
then what went wrong, and the hashes, would be in another process.
"""

import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL, EIO, EPERM
from pathlib import Path

from xen2kvmd.errors import MigrationError

log = logging.getLogger(__name__)

Read = Callable[[int, int], bytes]

OPTION_MAGIC = b"IHAVEOPT"
OPTION_REPLY = 0x3E889045565A9
REQUEST = struct.Struct(">IHHQQI")
REQUEST_MAGIC = 0x25609513
REPLY = struct.Struct(">IIQ")
REPLY_MAGIC = 0x67446698
FLAGS = 1 | 2 | 256  # has flags, is read-only, may be opened by several
GO = 7
ACK, REP_INFO, UNSUPPORTED = 1, 3, 0x80000001
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
LARGEST = 32 << 20  # bytes of a request, by the protocol


@contextmanager
def serving(path: Path, size: int, read: Read) -> Iterator[str]:
    """Serve a disk on a socket for the time of the block; return its URI."""
    listener = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen()
    threads: list[threading.Thread] = []
    clients: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # it was shut down
            clients.append(client)
            thread = threading.Thread(target=_serve, args=(client, size, read), name="nbd")
            thread.start()
            threads.append(thread)

    first = threading.Thread(target=accept, name="nbd-accept")
    first.start()
    try:
        yield f"nbd+unix:///?socket={path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        first.join()
        listener.close()
        for client in clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("a client had gone already")
        for thread in threads:
            thread.join()
        path.unlink(missing_ok=True)


def _serve(client: socket.socket, size: int, read: Read) -> None:
    try:
        with client, client.makefile("rb") as stream:
            if _greet(client, stream.read, size):
                _answer(client, stream.read, size, read)
    except (OSError, struct.error):
        log.debug("a client went without a word")  # a killed QEMU


def _greet(client: socket.socket, take: Callable[[int], bytes], size: int) -> bool:
    """Do the handshake; tell whether requests follow."""
    client.sendall(b"NBDMAGIC" + OPTION_MAGIC + struct.pack(">H", 1 | 2))
    (flags,) = struct.unpack(">I", take(4))
    while True:
        magic, option, length = struct.unpack(">8sII", take(16))
        if magic != OPTION_MAGIC or length > LARGEST:
            return False
        take(length)
        export = struct.pack(">QH", size, FLAGS)

        def reply(kind: int, data: bytes = b"") -> None:
            head = struct.pack(">QIII", OPTION_REPLY, option, kind, len(data))  # noqa: B023
            client.sendall(head + data)

        match option:
            case 1:  # EXPORT_NAME
                client.sendall(export + (b"" if flags & 2 else bytes(124)))
                return True
            case 2:  # ABORT
                reply(ACK)
                return False
            case 6 | 7:  # INFO, GO
                reply(REP_INFO, struct.pack(">H", 0) + export)
                reply(ACK)
                if option == GO:
                    return True
            case _:
                reply(UNSUPPORTED)


def _answer(client: socket.socket, take: Callable[[int], bytes], size: int, read: Read) -> None:
    while True:
        magic, _flags, kind, handle, offset, length = REQUEST.unpack(take(REQUEST.size))
        error, data = 0, b""
        if magic != REQUEST_MAGIC or kind == DISCONNECT:
            return
        if kind == WRITE:
            take(length)
            error = EPERM
        elif kind == READ:
            if length > LARGEST or offset + length > size:
                error = EINVAL
            else:
                try:
                    data = read(offset, length)
                except MigrationError as failure:
                    log.warning("%s", failure)
                    error = EIO
                except Exception:
                    log.exception("A request to read %d bytes at %d failed", length, offset)
                    error = EIO
        elif kind != FLUSH:
            error = EINVAL
        client.sendall(REPLY.pack(REPLY_MAGIC, error, handle) + data)
