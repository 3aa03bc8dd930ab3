# SPDX-License-Identifier: GPL-2.0-or-later
"""The file systems of this host that a job writes to.

Where one is not mounted, all that the job has written there looks as if it was removed already: so
it may be after a power cut, when a NAS comes up later than this host. A pool tells so by itself.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xen2kvmd.errors import ConnectionFailed
from xen2kvmd.jobs.step import Run
from xen2kvmd.system import files

NOTE = "mounts"


def remember(run: Run, folders: Iterable[Path]) -> None:
    """Note where the file systems of these folders are mounted."""
    points = {str(files.mount_point(folder)) for folder in folders}
    run.note(NOTE, sorted(points | set(run.notes.get(NOTE, ()))))


def check(notes: Mapping[str, Any]) -> None:
    """Raise ConnectionFailed if one that a job's notes tell of is not mounted: it may be, later."""
    for point in notes.get(NOTE, ()):
        if not os.path.ismount(point):
            raise ConnectionFailed(
                f"Nothing is mounted at {point}, where the job has written files.",
                hint="Mount what was there: see /etc/fstab, and 'systemctl list-units *.mount'.",
            )
