# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker as a process: its arguments, its lock, its log."""

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from xen2kvmd.jobs.journal import now
from xen2kvmd.jobs.step import Step
from xen2kvmd.jobs.store import Store
from xen2kvmd.jobs.worker import Stopped, work
from xen2kvmd.system import files

LONGEST = 70  # characters of a folder in which sockets can lie
EX_TEMPFAIL = 75  # sysexits.h: the job goes on later
_SYSLOG = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class JobLog(logging.FileHandler):
    """The job's log: a line is the time in µs, the syslog priority, and the text."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", " | ")
        return f"{now()} {_SYSLOG.get(record.levelno, 6)} {text}"


def run(steps_of: Callable[[str], Sequence[Step]]) -> int:
    """Run the job that the command line names, with the steps of its operation.

    The exit code is of interest to systemd alone: how the job ended is in its journal.
    """
    arguments = _arguments()
    store = Store(arguments.jobs)
    record = store.record(arguments.id)
    folder = store.path(arguments.id)
    lock = files.try_lock(folder / "lock")
    if lock is None:
        return 0  # another worker has the job
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    logging.basicConfig(
        level=logging.DEBUG, format="%(message)s", handlers=[JobLog(folder / "log")]
    )
    _keep_temporary_files(folder / "scratch")
    try:
        work(store, record.id, arguments.events, steps_of(record.operation))
    except Stopped:
        return EX_TEMPFAIL
    return 0


def _keep_temporary_files(scratch: Path) -> None:
    """Let temporary files and sockets lie where the job's end removes them, however it ends.

    The address of a socket has 107 bytes (unix(7)): in a long path they stay in /tmp.
    """
    if len(str(scratch)) <= LONGEST:
        scratch.mkdir(mode=0o700, exist_ok=True)
        os.environ["TMPDIR"] = str(scratch)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("id", help="id of the job")
    parser.add_argument("--jobs", type=Path, default=Path("/var/lib/xen2kvmd/jobs"))
    parser.add_argument("--events", type=Path, default=Path("/run/xen2kvmd/events"))
    return parser.parse_args()
