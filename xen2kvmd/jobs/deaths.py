# SPDX-License-Identifier: GPL-2.0-or-later
"""How often the workers of a job have died, and what follows from that: the one place for it.

One that died before it wrote anything down has done nothing, and may not be able to for hours: a
disk that is full is waited for without end. Where the disk takes what we write, a person must see
to what kills workers. The others are counted in the job's folder, for the next daemon, too.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from xen2kvmd.jobs.status import JobStatus
from xen2kvmd.system import files

# Seconds until another worker takes up a job whose first, second, ... died: what killed it, like a
# disk that is full, may pass.
PAUSES = (0.0, 10.0, 60.0, 300.0)
ATTEMPTS = len(PAUSES) + 1  # workers that may die before we give up; all but the first may undo
SILENT = 1440  # workers, one a minute, that may die at once though the disk would take what they do
RETRY = 60.0  # seconds until a job that got no worker, or was not looked at, is tried again
ROOM = 64 << 10  # bytes that a worker writes first: some events, lines of the log, folders

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What follows from a death: another worker in some seconds, and why, or the job is given up.

    given_up is the message of the error then, "" else.
    """

    pause: float = 0.0
    why: str = ""
    given_up: str = ""


class Deaths:
    """The deaths of all jobs' workers. Its methods touch the disk, but for begun() and over()."""

    def __init__(self, jobs: Path) -> None:
        """Count in the folders of the jobs, which are in this one."""
        self._jobs = jobs
        self._known: dict[str, int] = {}  # of jobs with a worker: the last event before it
        self._silent = Counter[str]()  # workers that died in a row, and wrote nothing down
        self._unwritten: dict[str, tuple[int, int]] = {}  # where a full disk takes no more of them

    def begun(self, status: JobStatus) -> None:
        """Take in that a worker begins."""
        self._known[status.id] = status.seq

    def over(self, job_id: str) -> None:
        """Forget a job that is over."""
        self._known.pop(job_id, None)

    def died(self, status: JobStatus) -> Verdict:
        """Count the death of a job's worker, once, whoever looks at it."""
        if status.started_at and self._known.pop(status.id, None) == status.seq:
            return self._died_silently(status.id)
        self._silent.pop(status.id, None)
        before, seq = self._counted(status.id)
        if status.started_at and seq == status.seq:
            return Verdict()  # the daemon before us has counted this one
        self._count(status.id, before + 1, seq=status.seq)
        if before >= len(PAUSES):
            return Verdict(
                given_up=f"{ATTEMPTS} workers of this job died, none could undo what was done.\n"
                "Its log may tell why; its report and journal tell what it had made."
            )
        log.warning("The worker of job %s died; another begins in %g s", status.id, PAUSES[before])
        return Verdict(PAUSES[before], f"{before + 1} of its processes died")

    def _died_silently(self, job_id: str) -> Verdict:
        log.error("The worker of job %s died at once; another begins later", job_id)
        why = "the last one died before it could write anything down"
        if self._has_room(job_id):
            self._silent[job_id] += 1
            why += f" ({self._silent[job_id]} of {SILENT}); the system's journal may tell why"
        if self._silent[job_id] < SILENT:
            return Verdict(RETRY, why)
        del self._silent[job_id]
        return Verdict(
            given_up=f"{SILENT} workers of this job died before they could write anything down; "
            "nothing was undone.\nThe system's journal may tell why ('journalctl -u "
            f"xen2kvm-job@{job_id}'); the job's report tells what it had made, and how to go back."
        )

    def _counted(self, job_id: str) -> tuple[int, int]:
        """Return how many workers have died, and the last event in the journal at the last one."""
        path = self._jobs / job_id / "deaths"
        written = path.read_text() if path.exists() else ""
        count, seq, *_ = map(int, f"{written} 0 0".split())  # it was the count alone before
        return max((count, seq), self._unwritten.get(job_id, (0, 0)))

    def _count(self, job_id: str, count: int, *, seq: int) -> None:
        path = self._jobs / job_id / "deaths"
        try:
            files.write_atomic(path, f"{count} {seq}")
        except OSError as error:
            log.error("The deaths of job %s cannot be counted in %s: %s", job_id, path, error)
            self._unwritten[job_id] = (count, seq)

    def _has_room(self, job_id: str) -> bool:
        """Tell whether the disk takes what a worker writes first, by writing as much."""
        path = self._jobs / job_id / "room"
        try:
            files.write_atomic(path, "x" * ROOM)
        except OSError as error:
            log.error("Nothing can be written in %s: %s", path.parent, error)
            return False
        finally:
            files.discard(path)
        return True
