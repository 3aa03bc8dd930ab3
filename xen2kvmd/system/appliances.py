# SPDX-License-Identifier: GPL-2.0-or-later
"""What an appliance leaves when the process that opened it is killed.

Its QEMU ends a few seconds later, when libguestfs' recovery process notices; meanwhile it would
write into disks that are about to go. Its sockets lie in a folder in /tmp, for root always there
(guestfs_get_sockdir), which only closing the handle removes.
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
YOUNG = 1.0  # second from making a folder to making its sockets, at most
SECONDS = 10.0  # that killed processes may take to end


def folders() -> list[str]:
    """Return the folders of all appliances, running or not."""
    return sorted(str(path) for path in PLACE.glob("libguestfs??????"))


def sweep(known: Collection[str], scratch: Path) -> None:
    """End the QEMUs that work on disks in `scratch`; remove the folders that they used.

    known are folders that were there before. Of the others those go that hold nothing but sockets
    which nobody has open.
    """
    deadline = time.monotonic() + SECONDS
    while (left := tuple(_processes(scratch))) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
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


def _processes(scratch: Path) -> Iterator[int]:
    """Yield the QEMU processes whose command line names a file of the folder."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (path / "cmdline").read_bytes()
            if argv.startswith((b"qemu", b"/usr/bin/qemu", b"/usr/libexec/qemu")):
                if os.fsencode(f"{scratch}/") in argv:
                    yield int(path.name)
