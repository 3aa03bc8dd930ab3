# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs as units of systemd: each has a cgroup, a journal and limits of its own, apart from ours.

systemctl(1) is asked, and not systemd's own D-Bus API: it waits for the end of the start job, which
over D-Bus takes a subscription that another caller's reload of systemd silently ends.
"""

from xen2kvmd.system import command

UNIT = "xen2kvm-job@{}.service"
SECONDS = 90  # for a start: systemd may be busy, as while a host boots


def start(job_id: str) -> int:
    """Start a job's unit and return the pid of its process; a unit that runs already is left so.

    Raises Failed if systemd refuses, and ProcessLookupError if the process has ended already.
    """
    unit = UNIT.format(job_id)
    command.run(["systemctl", "start", "--", unit], timeout=SECONDS, with_us=False)
    show = ["systemctl", "show", "--property=MainPID", "--value", "--", unit]
    pid = int(command.run(show, timeout=SECONDS, with_us=False))
    if pid == 0:
        raise ProcessLookupError(f"{unit} has ended")
    return pid
