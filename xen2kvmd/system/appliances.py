# SPDX-License-Identifier: GPL-2.0-or-later
"""What an appliance, or another program of ours, leaves when the process that opened it is killed.

Its QEMU ends a few seconds later, when libguestfs' recovery process notices; meanwhile it would
write into disks that are about to go. Its sockets lie in a folder in /tmp, for root always there
(guestfs_get_sockdir), which only closing the handle removes. Others end with us (setpriv(1)), but
for one that has just been started when we are killed: it has not asked for that yet.
"""

import os
import shutil
import signal
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

PLACE = Path("/tmp")
PROGRAMS = (b"qemu", b"nbdkit", b"setpriv", b"ssh")
YOUNG = 1.0  # second from making a folder to making its sockets, at most
SECONDS = 10.0  # that killed processes may take to end


def folders() -> list[str]:
    """Return the folders of all appliances, running or not."""
    return sorted(str(path) for path in PLACE.glob("libguestfs??????"))


def end(*places: Path) -> None:
    """End the programs of ours that have a file in one of these folders on their command line."""
    deadline = time.monotonic() + SECONDS
    while (left := tuple(_processes(places))) and time.monotonic() < deadline:
        for pid in left:
            kill(pid)
        time.sleep(0.1)


def children() -> frozenset[int]:
    """Return the processes that this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return frozenset(int(pid) for path in lists for pid in path.read_text().split())


def end_start(before: Collection[int]) -> None:
    """End the appliance that this process is starting, or building; before are older children."""
    for pid in children() - set(before):
        with suppress(OSError):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"guestfsd.sock" in argv or b"supermin" in argv.partition(b"\0")[0]:
                kill(pid)


def kill(pid: int) -> None:
    """Kill a process; that it has ended already is as good."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def sweep(known: Collection[str]) -> None:
    """Remove the folders of appliances that have ended.

    known are folders that were there before. Of the others those go that hold nothing but sockets
    which nobody has open.
    """
    begun = time.time()
    time.sleep(YOUNG)  # what is younger than our look belongs to somebody who just begins
    in_use = Path("/proc/net/unix").read_text()
    for name in set(folders()) - set(known):
        path = Path(name)
        with suppress(FileNotFoundError):  # its owner was faster
            state = path.stat()
            modes = [entry.lstat().st_mode for entry in path.iterdir()]
            ours = state.st_uid == os.getuid() and state.st_mtime < begun
            if ours and name not in in_use and all(map(stat.S_ISSOCK, modes)):
                shutil.rmtree(path)


def _processes(places: Collection[Path]) -> Iterator[int]:
    names = [os.fsencode(f"{place}/") for place in places]
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (path / "cmdline").read_bytes()
            program = argv.partition(b"\0")[0].rpartition(b"/")[2]
            if program.startswith(PROGRAMS) and any(name in argv for name in names):
                yield int(path.name)
