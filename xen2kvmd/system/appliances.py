# SPDX-License-Identifier: GPL-2.0-or-later
"""What libguestfs leaves in /tmp when its process is killed.

It keeps its sockets in a folder there, for root in /tmp always (guestfs_get_sockdir), and removes
it when the handle is closed; a process that is killed closes nothing.
"""

import shutil
import stat
import time
from collections.abc import Collection
from pathlib import Path

PLACE = Path("/tmp")  # libguestfs knows no other
AGE = 2.0  # seconds; a younger one may not have made its sockets yet


def folders() -> list[str]:
    """Return the folders of all appliances, running or not."""
    return sorted(str(path) for path in PLACE.glob("libguestfs??????"))


def sweep(known: Collection[str]) -> None:
    """Remove the folders, but those known, that hold nothing but sockets that nobody has open."""
    in_use = Path("/proc/net/unix").read_text()
    for name in set(folders()) - set(known):
        path = Path(name)
        state = path.stat()
        entries = [entry.lstat().st_mode for entry in path.iterdir()]
        ours = state.st_uid == 0 and time.time() - state.st_mtime > AGE
        if ours and name not in in_use and all(stat.S_ISSOCK(mode) for mode in entries):
            shutil.rmtree(path, ignore_errors=True)
