# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a guest of a name runs under the Xen of a host: xl(1) of that host tells.

It knows each, whoever has started it; libvirt knows none that it has not started itself. Where
there is no xl, or it does not get at Xen, nobody knows.
"""

import os
import shutil
from collections.abc import Sequence

from xen2kvmd.errors import Failed
from xen2kvmd.system import kvm
from xen2kvmd.system.command import run
from xen2kvmd.system.ssh import connected

SECONDS = 30  # xl waits without an end for a xenstored that is gone
FOLDERS = "/usr/sbin:/sbin"  # the PATH of a command over ssh may lack them

# Each Xen has a domain 0: xl that cannot list fails in all that it is asked.
SCRIPT = f"""
PATH=$PATH:{FOLDERS}
asked() {{ timeout {SECONDS} xl "$@" </dev/null >/dev/null 2>&1; }}
if asked domid -- "$1"; then
  echo runs
elif asked list; then
  echo off
else
  echo unknown
fi
"""
ANSWERS = {"runs": True, "off": False}


def runs(name: str, address: str) -> bool | None:
    """Tell whether a guest runs at ssh://USER@HOST:PORT, "" for this host; None: not known.

    Raises ssh's errors.
    """
    if not address:
        return _runs_here(name)
    with connected(address) as host, host.program(["sh", "-c", SCRIPT, "sh", name]) as program:
        return ANSWERS.get(program.line())


def _runs_here(name: str) -> bool | None:
    path = f"{os.environ.get('PATH', os.defpath)}:{FOLDERS}"
    xl = shutil.which("xl", path=path) if kvm.under_xen() else None
    if xl is None:
        return None
    if _succeeds([xl, "domid", "--", name]):
        return True
    return False if _succeeds([xl, "list"]) else None


def _succeeds(argv: Sequence[str]) -> bool:
    try:
        run(argv, timeout=SECONDS)
    except Failed:
        return False
    return True
