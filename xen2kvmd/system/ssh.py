# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection to another host by ssh(1), which all that we do there shares.

Keys, agent, ports and jump hosts are those of root's ssh_config(5), unless xen2kvmd.conf(5) has
others for a host. What we set is what must not be otherwise: nobody is asked, and a host's key is
known or refused.
"""

import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO
from urllib.parse import parse_qsl, urlsplit

from xen2kvmd import config
from xen2kvmd.errors import (
    ConnectionFailed,
    Failed,
    HostKeyUnknown,
    MigrationError,
    SourceAuthFailed,
)
from xen2kvmd.system.command import TAIL, WITH_US, log, running

CONFIG = config.FILE
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

_HOST_KEY = ("Host key verification failed", "HOST IDENTIFICATION HAS CHANGED")
_REFUSED = ("Permission denied", "Too many authentication failures")


def login_of(host: str) -> str:
    """Return what a person types to log in to HOST or USER@HOST:PORT."""
    return "ssh " + host.replace(":", " -p ") if "]" not in host else f"ssh ssh://{host}"


def refusal(host: str, said: str) -> MigrationError | None:
    """Return the error for a host that ssh did not get into, by what ssh said; it has no codes."""
    login = login_of(host)
    if any(words in said for words in _HOST_KEY):
        return HostKeyUnknown(
            f"The key of the host {host} is not known to root's ssh, or not the one that it knows.",
            hint=f"Log in once as root from this host, compare the fingerprint, and accept it: "
            f"{login}. If the key has changed, find out why before you remove the old one.",
        )
    if any(words in said for words in _REFUSED):
        return SourceAuthFailed(
            f"The host {host} refused the login: {said.strip()}.",
            hint="Nobody is asked for a password: put the public key of root of this host there, "
            f"and see that this works as root: {login}",
        )
    return None


@dataclass(frozen=True)
class Connection:
    """A host that we are logged in to; address is ssh://USER@HOST:PORT."""

    address: str
    host: str
    argv: tuple[str, ...]

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

    def lost(self) -> MigrationError:
        """Return the error for a program that ended when it should not have."""
        self.messages.seek(0)
        said = self.messages.read().decode(errors="replace").strip()[-TAIL:]
        return ConnectionFailed(
            f"The connection to the host {self.host} was lost: {said or 'it was closed'}.",
            hint="See that the host runs, and that its disks and network are sound; migrate again.",
        )


@contextmanager
def connected(address: str, folder: Path) -> Iterator[Connection]:
    """Log in to ssh://USER@HOST:PORT[?keyfile=/PATH]; the folder holds the socket of the login.

    Raises HostKeyUnknown, SourceAuthFailed or ConnectionFailed.
    """
    options, bare = _asked(address, (*OPTIONS, "ClearAllForwardings=yes"))
    netloc = urlsplit(address).netloc
    socket = folder / "ssh"
    with running(["ssh", *options, "-M", "-N", "-S", str(socket), bare]) as master:
        limit = time.monotonic() + SECONDS
        while not socket.exists():
            try:
                master.check(seconds=0.02)
            except Failed as error:
                raise unreachable(netloc, error.message) from error
            if time.monotonic() > limit:
                raise unreachable(netloc, f"no login in {SECONDS:g} seconds")
        yield Connection(bare, netloc, ("ssh", *options, "-S", str(socket)))


def forwarding(address: str, *, here: Path, there: str) -> list[str]:
    """Return the arguments of an ssh of its own, for which a socket here leads to one there."""
    options, bare = _asked(address, OPTIONS)
    return ["ssh", *options, "-S", "none", "-L", f"{here}:{there}", bare]


@contextmanager
def as_program(address: str) -> Iterator[str]:
    """Yield the path of a program that is ssh with our options, for who takes no more than a path.

    It is there for the time of the block, in which it must be started.
    """
    options, _ = _asked(address, (*OPTIONS, "ClearAllForwardings=yes"))
    with TemporaryDirectory() as folder:
        program = Path(folder, "ssh")
        program.write_text(f'#!/bin/sh\nexec {shlex.join(["ssh", *options])} "$@"\n')
        program.chmod(0o700)
        yield str(program)


def _asked(address: str, options: Sequence[str]) -> tuple[list[str], str]:
    """Return the options for an address, and the address as ssh takes it.

    What the address says is more than what the configuration says of its host.
    """
    parts, said = urlsplit(address), _configured(address)
    keyfile = dict(parse_qsl(parts.query)).get("keyfile", said.identity_file)
    chosen = [*options]
    chosen += [f"IdentityFile={keyfile}"] if keyfile else []
    chosen += [f"User={said.user}"] if said.user and parts.username is None else []
    chosen += [f"Port={said.port}"] if said.port and parts.port is None else []
    chosen += [f"ProxyJump={said.proxy_jump}"] if said.proxy_jump else []
    words = [word for option in chosen for word in ("-o", option)]
    return words, f"ssh://{parts.netloc}"


def rate_limit(address: str) -> int:
    """Return how many bytes per second may be copied from or to a host; 0 for no limit."""
    return _configured(address).rate_limit


def _configured(address: str) -> config.HostOptions:
    return config.host(urlsplit(address).hostname or "", CONFIG)


def unreachable(host: str, said: str) -> MigrationError:
    """Return the error for a host that ssh did not get into, or lost."""
    return refusal(host, said) or ConnectionFailed(
        f"The host {host} cannot be reached: {said.strip()}.",
        hint=f"See that this works as root, without a question: {login_of(host)}",
    )
