# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker as a process: its arguments, its lock, its log."""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from xen2kvmd.jobs import hosts, log
from xen2kvmd.jobs.step import Step
from xen2kvmd.jobs.store import JobRecord, Store
from xen2kvmd.jobs.worker import Stopped, work
from xen2kvmd.model import Operation
from xen2kvmd.system import files, ssh, ssh_login
from xen2kvmd.system.inhibitor import held
from xen2kvmd.system.remotes import logins_of

LONGEST = 70  # characters of a folder in which sockets can lie
EX_TEMPFAIL = 75  # sysexits.h: the job goes on later
# What stops a guest and starts it, or another, and what systemd-inhibit shows of it.
HOLDING = {
    str(Operation.MIGRATE): "Migration",
    str(Operation.ROLLBACK): "Rollback",
    str(Operation.FINALIZE): "Settling",
    str(Operation.BACKUP): "Backup",
}


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
    if store.status(record.id).state.final:
        return 0  # it was cancelled or given up before we came
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    log.begin(folder / "log", job_id=record.id, vm=record.vm, in_unit=arguments.unit)
    _keep_temporary_files(folder / "scratch")
    if (taken := hosts.file_of(arguments.events)).exists():
        ssh_login.CONFIG = taken
    try:
        with _host_held(record), ssh.kept(logins_of(folder)):
            work(store, record.id, arguments.events, steps_of(record.operation))
    except Stopped:
        return EX_TEMPFAIL
    return 0


def _host_held(record: JobRecord) -> AbstractContextManager[None]:
    """Hold off the end of the host while the job may have a guest stopped."""
    what = HOLDING.get(record.operation)
    return held(f"{what} of {record.vm}") if what else nullcontext()


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
    parser.add_argument("--unit", action="store_true", help="systemd runs us: log to its journal")
    return parser.parse_args()
