# SPDX-License-Identifier: GPL-2.0-or-later
"""One login to another host by ssh(1), which all that we do there shares.

Keys, agent, ports and jump hosts are those of root's ssh_config(5), unless xen2kvmd.conf(5) has
others for a host (ssh_login.py). What we set is what must not be otherwise: nobody is asked, and a
host's key is known or refused.
"""

import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO
from urllib.parse import urlsplit

from xen2kvmd.errors import ConnectionFailed, Failed, MigrationError
from xen2kvmd.system.command import WITH_US, Running, log, run, running
from xen2kvmd.system.ssh_login import options_of, unreachable
from xen2kvmd.words import one_line

SECONDS = 60.0  # for the login; a jump host takes its time, too
BEGIN = "xen2kvm-begins"  # what a program's shell prints before the program
LONGEST = 4096  # bytes of a line before that
GRACE = 5.0  # seconds that ssh has to end
OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=15",  # a host that is gone is noticed in 45 s
    "ServerAliveCountMax=3",
    "ControlPersist=no",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "LogLevel=ERROR",
)


@dataclass(frozen=True)
class Connection:
    """A host that we are logged in to, as it was asked for; the login has a socket."""

    asked: str  # ssh://USER@HOST:PORT?keyfile=/PATH
    argv: tuple[str, ...]
    socket: Path

    @property
    def host(self) -> str:
        """USER@HOST:PORT, as messages name it."""
        return urlsplit(self.asked).netloc

    @property
    def address(self) -> str:
        """The host as ssh takes it."""
        return f"ssh://{self.host}"

    @contextmanager
    def program(self, argv: Sequence[str]) -> Iterator["Program"]:
        """Run a program there, with pipes to it; it ends, for want of input, with the block.

        The other end's shell gets the words quoted: it runs them as they are. What it prints of its
        own, for a profile, is passed over. Raises ConnectionFailed if it ends before that.
        """
        command = f"echo {BEGIN}; {shlex.join(argv)}"
        log.debug("on %s: %s", self.host, argv[-1])
        with TemporaryFile() as said:
            process = subprocess.Popen(
                [*WITH_US, *self.argv, self.address, command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
            assert process.stdin
            assert process.stdout
            program = Program(self.host, process.stdin, process.stdout, said)
            try:
                program.begin()
                yield program
            finally:
                process.terminate()
                try:
                    process.wait(timeout=GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                process.stdout.close()
                try:
                    process.stdin.close()
                except BrokenPipeError:
                    log.debug("the program on %s had ended already", self.host)

    @contextmanager
    def forwarded(self, *, here: Path, there: str) -> Iterator[None]:
        """Let a socket here lead to one there for the time of the block. Raises ConnectionFailed.

        It is the login that listens: a program of ours that ends leaves the socket.
        """
        argv = ("ssh", "-F", "none", "-S", str(self.socket), "-L", f"{here}:{there}", self.address)
        try:
            run([*argv, "-O", "forward"], timeout=SECONDS)
        except Failed as error:
            raise unreachable(self.asked, error.message) from error
        try:
            yield
        finally:
            with suppress(Failed):  # the login has ended
                run([*argv, "-O", "cancel"], timeout=SECONDS)
            here.unlink(missing_ok=True)


@dataclass(frozen=True)
class Program:
    """A program on another host: what it reads, what it prints, and its messages."""

    host: str
    stdin: IO[bytes]
    stdout: IO[bytes]
    messages: IO[bytes]

    def begin(self) -> None:
        """Pass over what the other end's shell prints of its own. Raises ConnectionFailed."""
        while not (line := self.stdout.readline(LONGEST)).endswith(f"{BEGIN}\n".encode()):
            if not line:
                raise self.lost()

    def line(self) -> str:
        """Return the next line, without its end. Raises ConnectionFailed if it ends before."""
        if (line := self.stdout.readline()).endswith(b"\n"):
            return line.decode(errors="replace").removesuffix("\n")
        raise self.lost()

    def lost(self) -> MigrationError:
        """Return the error for a program that ended when it should not have."""
        self.messages.seek(0)
        said = one_line(self.messages.read().decode(errors="replace"))
        return ConnectionFailed(
            f"The connection to the host {self.host} was lost: {said or 'it was closed'}.",
            hint="See that the host runs, and that its disks and network are sound; migrate again.",
        )


class Logins:
    """The hosts that we are logged in to, once each; the sockets of the logins lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._masters: dict[str, tuple[Running, Connection]] = {}
        self._count = 0
        self._open = ExitStack()
        self._one = threading.Lock()
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed

    def connection(self, address: str) -> Connection:
        """Return the login to a host; one that has ended, because the host was lost, is made anew.

        A login ends with the thread that made it, too (see WITH_US): the next to ask makes another.
        ssh itself logs in anew for a program whose login ends just then.
        """
        with self._one:
            if address in self._masters:
                master, connection = self._masters[address]
                with suppress(Failed):
                    master.check()
                    return connection
                log.info("The login to %s has ended, and is made anew", connection.host)
            self._masters[address] = self._log_in(address)
            return self._masters[address][1]

    def _log_in(self, address: str) -> tuple[Running, Connection]:
        told = (*OPTIONS, "ClearAllForwardings=yes", *options_of(address))
        ssh = ("ssh", *(word for option in told for word in ("-o", option)))
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._count += 1
        socket = self._folder / str(self._count)
        connection = Connection(address, (*ssh, "-S", str(socket)), socket)
        master = self._open.enter_context(
            running([*ssh, "-M", "-N", "-S", str(socket), connection.address])
        )
        limit = time.monotonic() + SECONDS
        while not socket.exists():
            try:
                master.check(seconds=0.02)
            except Failed as error:
                silent = not master.last_words()
                said = _reason(ssh, connection.address) if silent else ""
                raise unreachable(address, said or error.message) from error
            if time.monotonic() > limit:
                master.end()
                raise unreachable(address, f"no login in {SECONDS:g} seconds")
        return master, connection

    def close(self) -> None:
        """End all logins, and what runs by them."""
        self._open.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _reason(ssh: Sequence[str], address: str) -> str:
    """Ask again why there is no login, "" if there is one.

    ssh tells an ERROR of most, but that no algorithm suits both ends for INFO only; all that it
    says there would have the banner of each host in our messages.
    """
    try:
        run(
            ["ssh", "-o", "LogLevel=INFO", *ssh[1:], "-S", "none", address, "true"], timeout=SECONDS
        )
    except Failed as error:
        return error.message
    return ""


_kept: list[Logins] = []  # one at most: a process has one login to a host, whoever asks for it


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Keep all logins that are made in this process until the block is left."""
    logins = Logins(folder)
    _kept.append(logins)
    try:
        yield
    finally:
        _kept.remove(logins)
        logins.close()


@contextmanager
def connected(address: str) -> Iterator[Connection]:
    """Log in to ssh://USER@HOST:PORT[?keyfile=/PATH], or yield the login that is there already.

    Where none is kept it ends with the block. Raises HostKeyUnknown, SourceAuthFailed or
    ConnectionFailed.
    """
    if _kept:
        yield _kept[-1].connection(address)
        return
    with TemporaryDirectory(prefix="xen2kvm-ssh-") as folder:
        logins = Logins(Path(folder, "logins"))
        try:
            yield logins.connection(address)
        finally:
            logins.close()


@contextmanager
def as_program(address: str) -> Iterator[str]:
    """Yield the path of a program that is ssh by our login, for who takes no more than a path.

    Both are there for the time of the block. Raises what connected() raises.
    """
    with connected(address) as host, TemporaryDirectory() as folder:
        program = Path(folder, "ssh")
        program.write_text(f'#!/bin/sh\nexec {shlex.join(host.argv)} "$@"\n')
        program.chmod(0o700)
        yield str(program)
