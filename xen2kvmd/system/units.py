# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs as units of systemd: each has a cgroup, a journal and limits of its own, apart from ours.

systemctl(1) is asked, and not systemd's own D-Bus API: it takes no subscription, which another
caller's reload of systemd silently ends. Nobody waits in it: while our own unit is stopped, systemd
starts a job after that, and a systemctl that is ended with us tells nothing of what systemd does.
"""

import logging

from xen2kvmd.errors import Failed
from xen2kvmd.system import command

log = logging.getLogger(__name__)

UNIT = "xen2kvm-job@{}.service"
SECONDS = 90  # for an answer: systemd may be busy, as while a host boots
SPAWN_FAILED = "641257651c1b4ec9a8624d7a40a9e1e7"  # MESSAGE_ID of systemd's catalog


def start(job_id: str) -> None:
    """Ask systemd to start a job's unit; one that runs already is left so. Raises Failed."""
    unit = UNIT.format(job_id)
    command.run(["systemctl", "start", "--no-block", "--", unit], timeout=SECONDS, with_us=False)


def main_pid(job_id: str) -> int | None:
    """Return the pid of a unit's process: 0 if it has none, None while systemd is to start it.

    Raises Failed if systemd cannot be asked.
    """
    asked = ["systemctl", "show", "--property=Job,MainPID", "--", UNIT.format(job_id)]
    said = command.run(asked, timeout=SECONDS, with_us=False).decode()
    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if int(shown.get("Job") or 0):  # the number of what systemd has yet to do about it
        return None
    return int(shown.get("MainPID") or 0)


def check_executed(job_id: str, *, since: float) -> None:
    """Raise Failed if systemd could not execute a unit's program since a time (time.time()).

    The journal tells: of a unit that has failed nothing is kept, not even 203/EXEC and the like
    (systemd.exec(5), "Process Exit Codes").
    """
    unit = UNIT.format(job_id)
    fields = (f"UNIT={unit}", f"MESSAGE_ID={SPAWN_FAILED}", "_UID=0")
    asked = ["journalctl", "--quiet", "--output=cat", "--lines=1", f"--since=@{since:.6f}", *fields]
    try:
        command.run(["journalctl", "--sync"], timeout=SECONDS, with_us=False)
        said = command.run(asked, timeout=SECONDS, with_us=False)
    except Failed as error:
        log.warning("Whether the unit of job %s was executed is not known: %s", job_id, error)
        return
    if said:
        why = said.decode(errors="replace").strip()
        raise Failed(
            f"systemd could not execute the job's process: {why}.",
            hint=f"See 'journalctl -u {unit}', and 'systemctl cat {unit}'.",
        )
