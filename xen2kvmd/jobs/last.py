# SPDX-License-Identifier: GPL-2.0-or-later
"""The last status of a job that is over, kept beside its journal so that it is not folded again.

10,000 such jobs are read in half a second; their journals take four times as long. It is worth
nothing without the journal: it counts only while that is as long as it was, for a journal only
grows.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from xen2kvmd.jobs.status import JobState, JobStatus

NAME = "last"
# Raised whenever JobStatus has other fields, or a journal folds to other values: the journals of
# all jobs are read once more then.
SCHEMA = 4


def recall(folder: Path) -> JobStatus | None:
    """Return what was kept; None for nothing, another schema, or a journal that has grown."""
    try:
        kept = json.loads((folder / NAME).read_bytes())
        if kept["schema"] != SCHEMA or kept["journal"] != _size(folder):
            return None
        status = kept["status"]
        status["state"] = JobState(status["state"])
        status["findings"] = tuple(status["findings"])
        status["weights"] = tuple((name, weight) for name, weight in status["weights"])
        status["takes"] = tuple((kind, name) for kind, name in status["takes"])
        status["same"] = tuple((asked, pool) for asked, pool in status["same"])
        status["steps_done"] = tuple(status["steps_done"])
        return JobStatus(**status)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep(folder: Path, status: JobStatus, *, journal: int) -> None:
    """Keep the status of a job that is over. A crash, or a full disk, costs nothing.

    journal is how many bytes of it were folded: it may have grown meanwhile.
    """
    document = {"schema": SCHEMA, "journal": journal, "status": vars(status)}
    new = folder / f"{NAME}.new"
    with suppress(OSError):
        new.write_text(json.dumps(document))
        os.replace(new, folder / NAME)


def _size(folder: Path) -> int:
    return (folder / "journal").stat().st_size
