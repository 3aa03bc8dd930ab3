# SPDX-License-Identifier: GPL-2.0-or-later
"""Holding off the end of the host (systemd-inhibit(1), systemd-logind's inhibitor locks)."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from xen2kvmd.system.command import log

END = 10.0  # seconds for it to end after us


@contextmanager
def held(why: str) -> Iterator[None]:
    """Hold off shutdown and sleep for the time of the block, where logind runs.

    root can still overrule it (systemctl --ignore-inhibitors); then the job is told to end, and is
    undone at the next start. The lock ends with us, however we end: `cat` reads our pipe.
    """
    if shutil.which("systemd-inhibit") is None:
        yield
        return
    process = subprocess.Popen(
        ["systemd-inhibit", "--what=shutdown:sleep", "--mode=block", "--who=xen2kvm",
         f"--why={why}", "cat"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        try:
            process.communicate(timeout=END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if process.returncode:
            log.debug("Nothing held off the end of the host: systemd-inhibit could not")
