# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job writes down in words: in a file of its folder, and in the journal of its unit."""

import logging
import os
from pathlib import Path

from systemd.journal import JournalHandler

from xen2kvmd.jobs.journal import now

MAX_BYTES = 1 << 20  # of a log, read at once
_SYSLOG = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class _File(logging.FileHandler):
    """A line is the time in µs, the syslog priority, and the text."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", " | ")
        return f"{now()} {_SYSLOG.get(record.levelno, 6)} {text}"


class _Fields(logging.Filter):
    """Gives each record the fields that `journalctl FIELD=VALUE` finds it by."""

    def __init__(self, job_id: str, vm: str) -> None:
        super().__init__()
        self._job = {"JOB_ID": job_id, "VM": vm}
        self.step = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__.update(self._job, STEP=self.step)
        return True


_fields = _Fields("", "")


def begin(path: Path, *, job_id: str, vm: str, in_unit: bool) -> None:
    """Log to a file, and from a unit of systemd to its journal too, but for debugging."""
    global _fields
    _fields = _Fields(job_id, vm)
    handlers: list[logging.Handler] = [_File(path)]
    if in_unit:
        handlers.append(JournalHandler(logging.INFO, SYSLOG_IDENTIFIER="xen2kvm-job"))
        handlers[-1].addFilter(_fields)
    logging.basicConfig(level=logging.DEBUG, format="%(message)s", handlers=handlers)


def step(name: str) -> None:
    """Say which step the records from now on belong to."""
    _fields.step = name


def read_lines(path: Path, after: int, *, most: int) -> tuple[list[str], int]:
    """Return so many lines of a log from a byte on, and the byte that follows them.

    No more than MAX_BYTES are read: a log may be large, and is asked for in pieces.
    """
    with path.open("rb") as file:
        if after >= os.fstat(file.fileno()).st_size:
            return [], after
        file.seek(after)
        data = file.read(MAX_BYTES)
    whole = data[: data.rfind(b"\n") + 1] or data
    found = whole.splitlines(keepends=True)[:most]
    lines = [line.decode(errors="replace").rstrip("\r\n") for line in found]
    return lines, after + sum(map(len, found))
