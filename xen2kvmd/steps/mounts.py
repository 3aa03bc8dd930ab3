# SPDX-License-Identifier: GPL-2.0-or-later
"""The file systems of this host that a job writes to.

Where one is not mounted, all that the job has written there looks as if it was removed already: so
it may be after a power cut, when a NAS comes up later than this host. A pool tells so by itself.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xen2kvmd.errors import Failed
from xen2kvmd.jobs.step import Run
from xen2kvmd.system import files

COPY, BACKUP = "copy-mounts", "backup-mounts"  # notes: where what a step writes to is mounted


def remember(run: Run, folders: Iterable[Path], *, note: str) -> None:
    """Note where the file systems of these folders are mounted."""
    run.note(note, sorted({str(files.mount_point(folder)) for folder in folders}))


def check(notes: Mapping[str, Any], *, note: str) -> None:
    """Raise Failed if one that a job's notes tell of is not mounted now."""
    for point in notes.get(note, ()):
        with suppress(OSError):
            os.stat(f"{point}/.")  # what an automounter has unmounted comes back
        if not os.path.ismount(point):
            raise Failed(
                f"Nothing is mounted at {point}: what the job has written there cannot be removed.",
                hint="Mount it, and try again; or remove the files that the report names.",
            )
