# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs on disk: a folder each, which an operator can read with cat.

jobs/ID/job.json   what was asked, by whom, when; written once, before anybody hears of the job
        journal    what happened (journal.py)
        lock       held by the worker while it lives; holds its pid
        last       the status of a job that is over (last.py): to be read faster; can be deleted
        cancel     is there if somebody asked to cancel
        scratch/   overlays and other things that end with the job
        plan.json source.xml target.xml report.json report.html console.log screenshot.png log
"""

import errno
import json
import logging
import secrets
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from xen2kvmd.errors import Failed, InsufficientSpace, JobNotFound, NotFinished
from xen2kvmd.jobs import journal, last, places
from xen2kvmd.jobs.log import read_lines
from xen2kvmd.jobs.status import JobStatus, fold
from xen2kvmd.system import files

log = logging.getLogger(__name__)


def new_id() -> str:
    """Return an id that sorts by time and is never used again."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise InsufficientSpace where the disk of the jobs runs full in the block, else Failed."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InsufficientSpace(
                f"There is no room left in {folder}, where the jobs are kept.",
                hint="Make some, and call again; 'xen2kvm remove' forgets jobs that are over.",
            ) from error
        raise Failed(
            f"The job cannot be written down in {folder}: {error}.", hint="See to that disk."
        ) from error


@dataclass(frozen=True)
class JobRecord:
    """What job.json holds: the job as it was asked for.

    spec is for the steps to read, who know the operation; what jobs/ itself heeds of it is below.
    """

    id: str
    operation: str
    vm: str
    source: str
    target: str
    owner_uid: int
    created_at: int
    spec: Mapping[str, Any]

    @property
    def migration(self) -> str:
        """The id of the migration that this job settles, "" for a job that settles none."""
        return str(self.spec.get("migration", ""))

    @property
    def resumes(self) -> bool:
        """Whether the job goes on, instead of being undone, when its process has died."""
        return bool(self.spec.get("resume"))

    @property
    def in_place(self) -> bool:
        """Whether the source's images stay where they are."""
        return bool(self.spec.get("in_place"))

    @property
    def waived(self) -> tuple[str, ...]:
        """The ids of the blockers that are not to stop the job."""
        return tuple(self.spec.get("waive", ()))

    def status(self, settled: Mapping[str, Any] = MappingProxyType({})) -> JobStatus:
        """Return the status of the job before anything happened.

        settled is what was asked of the migration that it settles, if it does.
        """
        return JobStatus(
            id=self.id,
            operation=self.operation,
            vm=self.vm,
            source=self.source,
            target=self.target,
            owner_uid=self.owner_uid,
            created_at=self.created_at,
            takes=places.taken(self.operation, self.source, self.spec, settled=settled),
            not_before=self.spec.get("not_before", 0),
            held=self.spec.get("hold", False),
        )


class Store:
    """The folder of all jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._to_keep = deque[tuple[Path, JobStatus, int]]()  # for last.py, as load() found them

    def path(self, job_id: str) -> Path:
        return self.folder / job_id

    def create(self, record: JobRecord) -> JobStatus:
        """Write a new job durably; half a job, after a crash, is no job (see `load`).

        Returns its status. Raises InsufficientSpace or Failed, as all here that writes; nothing is
        left of it then.
        """
        path = self.path(record.id)
        with writing(self.folder):
            path.mkdir(parents=True, mode=0o700)
            try:
                files.write_atomic(path / "job.json", json.dumps(asdict(record), indent=1))
                files.sync_folder(self.folder)
            except OSError:
                shutil.rmtree(path, ignore_errors=True)  # or its id could not be used again
                raise
        return self._new(record)

    def _new(self, record: JobRecord) -> JobStatus:
        """Return the status of a job before anything happened."""
        if record.migration:
            with suppress(JobNotFound):  # the job will see that itself
                return record.status(self.record(record.migration).spec)
        return record.status()

    def load(self) -> tuple[JobStatus, ...]:
        """Return all jobs, oldest first.

        A folder without job.json is swept away: the job was never promised to anybody. One whose
        job.json or journal cannot be read is left alone, for a person to look at. What it folds of
        jobs that are over is left to keep_last(): to write a file takes longer than to read two.
        """
        found = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            try:
                status, folded = self._read(path)
            except JobNotFound:
                shutil.rmtree(path, ignore_errors=True)
            except NotADirectoryError:
                log.warning("%s is no job and is ignored", path)
            except (ValueError, TypeError, KeyError):
                log.exception("The job in %s cannot be read and is ignored", path)
            else:
                found.append(status)
                if folded and status.state.final:
                    self._to_keep.append((path, status, folded))
        return tuple(sorted(found, key=lambda status: status.created_at))

    def record(self, job_id: str) -> JobRecord:
        """Return what was asked for. Raises JobNotFound."""
        try:
            return JobRecord(**json.loads((self.path(job_id) / "job.json").read_text()))
        except FileNotFoundError as error:
            raise JobNotFound(f"There is no job {job_id}.", hint="See 'xen2kvm jobs'.") from error

    def status(self, job_id: str) -> JobStatus:
        """Return a job's status from its journal, or what was kept of one that is over."""
        path = self.path(job_id)
        status, folded = self._read(path)
        if folded and status.state.final:
            last.keep(path, status, journal=folded)
        return status

    def _read(self, path: Path) -> tuple[JobStatus, int]:
        """Return a job's status, and how many bytes of its journal were folded for it."""
        if known := last.recall(path):
            return known, 0
        lines = journal.lines(path / "journal")
        status = fold(self._new(self.record(path.name)), *journal.parse(lines))
        return status, len(lines)

    def keep_last(self) -> None:
        """Keep what load() has folded of jobs that are over, until stop_keeping()."""
        with suppress(IndexError):
            while True:
                path, status, folded = self._to_keep.popleft()
                last.keep(path, status, journal=folded)

    def stop_keeping(self) -> None:
        """Leave what is not kept yet to the next daemon."""
        self._to_keep.clear()

    def lock(self, job_id: str) -> IO[str] | None:
        """Take the lock of a job's worker; None if one lives. Raises JobNotFound."""
        with writing(self.folder):
            try:
                return files.try_lock(self.path(job_id) / "lock")
            except FileNotFoundError:
                raise JobNotFound(
                    f"There is no job {job_id}.", hint="See 'xen2kvm jobs'."
                ) from None

    def worker(self, job_id: str) -> int:
        """Return the pid of the worker that has the lock. Raises ValueError before it is there."""
        return int((self.path(job_id) / "lock").read_text())

    def cancel(self, job_id: str) -> JobStatus:
        """Mark a job as cancelled unless it is too late; return its status at that moment.

        The worker locks the journal and looks for the mark before it writes that it is too late.
        """
        path = self.path(job_id)
        with writing(self.folder), files.locked(path / "journal"):
            status = self.status(job_id)
            if status.cancellable:
                (path / "cancel").touch()
        return status

    def arrange(self, job_id: str, **change: Any) -> None:
        """Write into the journal of a job without a worker how it is to be queued."""
        with writing(self.folder):
            opened = journal.Journal(self.path(job_id) / "journal")
            try:
                opened.append("arranged", **change)
            finally:
                opened.close()

    def text(self, job_id: str, name: str) -> str:
        """Return the text of a file of a job. Raises NotFinished if it is not written yet."""
        with self._written(job_id, name) as path:
            return path.read_text(errors="replace")

    def log_lines(self, job_id: str, after: int, most: int) -> tuple[list[str], int]:
        """Return lines of a job's log from a byte on, and where the next is. Raises NotFinished."""
        with self._written(job_id, "log") as path:
            return read_lines(path, after, most=most)

    @contextmanager
    def _written(self, job_id: str, name: str) -> Iterator[Path]:
        try:
            yield self.path(job_id) / name
        except FileNotFoundError:
            raise NotFinished(
                f"The job {job_id} has no {name}.",
                hint="It is written later, or the job ended before it could be. How far it came: "
                f"xen2kvm show {job_id}",
            ) from None

    def remove(self, job_id: str) -> None:
        """Forget a job; a crash in the middle leaves no job that would be begun once more."""
        with suppress(FileNotFoundError):  # somebody took the folder away
            (self.path(job_id) / "job.json").unlink()
            files.sync_folder(self.path(job_id))
        shutil.rmtree(self.path(job_id), ignore_errors=True)
