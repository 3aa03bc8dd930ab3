# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting programs: argument lists, never a shell; every one has a time limit and an end."""

import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from xen2kvmd.errors import Failed
from xen2kvmd.words import one_line

log = logging.getLogger(__name__)

# They read what a guest has written, or name what an image names, and may print it: that is not for
# everybody. Others tell of this host, or of another, and of what we have given them.
PRIVATE = ("qemu-img", "qemu-nbd")

# A program that works for us ends with us, even if we are killed (prctl(2), PR_SET_PDEATHSIG).
# Popen's preexec_fn could set it too, but is not safe where there are threads.
WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")


def run(argv: Sequence[str], *, timeout: float, stdin: bytes = b"", with_us: bool = True) -> bytes:
    """Run a program to its end and return its standard output.

    timeout is in seconds. It ends with us, unless with_us is false: setpriv(1), which sees to that,
    does not run where all capabilities are taken from us. Raises Failed, with the end of what it
    said, if the program is missing, fails, or is not done in time (it is killed then).
    """
    log.debug("run: %s", shlex.join(argv))
    _check_installed(argv[0])
    try:
        done = subprocess.run(
            [*(WITH_US if with_us else ()), *argv],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{argv[0]} was not done after {timeout:g} seconds and was ended.") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")
        raise failed(argv[0], f"failed with exit code {done.returncode}", said)
    return done.stdout


@contextmanager
def running(argv: Sequence[str]) -> Iterator["Running"]:
    """Run a program beside us; it is ended, and waited for, when the block is left."""
    log.debug("start: %s", shlex.join(argv))
    _check_installed(argv[0])
    process = subprocess.Popen(
        [*WITH_US, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_environment(),
    )
    program = Running(argv[0], process)
    try:
        yield program
    finally:
        program.end()
        if process.stderr:
            process.stderr.close()


class Running:
    """A program that runs beside us."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self._name = name
        self._process = process
        self._said: str | None = None
        self._asked = threading.Lock()

    def check(self, *, seconds: float = 0.0) -> None:
        """Raise Failed, with what the program said, if it has ended, or ends within the time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
            how = f"ended with exit code {self._process.returncode}"
            raise failed(self._name, how, self._output())

    def last_words(self) -> str:
        """Let the program end, and return the last line of its standard error; threads may ask."""
        with self._asked:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1.0)  # by itself, with a reason to tell
            self.end()
            return one_line(self._output().rpartition("\n")[2])

    def end(self) -> None:
        """End the program."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _output(self) -> str:
        if self._said is None:  # it can be read once
            said = self._process.stderr.read() if self._process.stderr else b""
            self._said = said.decode(errors="replace").strip()
        return self._said


def failed(program: str, how: str, said: str) -> Failed:
    """Return the error for a program that failed, with the end of what it said."""
    words = one_line(said)
    if program in PRIVATE or not words:
        return Failed(f"{program} {how}.", said=words)
    return Failed(f"{program} {how}: {words}")


def spawn(argv: Sequence[str], *, output: Path) -> int:
    """Start a program in a session of its own that outlives us; return its pid.

    What it prints goes to the end of the file `output`.
    """
    with output.open("ab") as stream:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=_environment(),
        )
    pid = process.pid
    process.returncode = 0  # whoever follows the pid reaps it, not Popen's destructor
    return pid


def reap(pid: int) -> None:
    """Take the exit status of a child that has ended; somebody else's child is left alone."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def terminate_children() -> None:
    """Send SIGTERM to every child of ours, whoever started it."""
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for pid in children.read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)


def _environment() -> dict[str, str]:
    """Return our environment with the C locale: we read what programs print."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def _check_installed(program: str) -> None:
    if shutil.which(program) is None:
        raise Failed(
            f"The program {program} is not installed.",
            hint="'sudo xen2kvm check-host' names the package that has it, and whatever else this "
            "host lacks.",
        )
