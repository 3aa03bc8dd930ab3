# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that may have a guest stopped hold off the end of the host, and no longer than they run.

A script stands for systemd-inhibit here; tests/systemd has the real one.
"""

import os
from contextlib import suppress

import pytest

from tests.jobs.lab import Lab
from xen2kvmd.jobs.status import JobState

INHIBIT = """#!/bin/sh
echo "$*" >>{folder}/held
while [ $# -gt 1 ]; do shift; done
"$@"
echo given up >>{folder}/held
"""


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ("migrate", "Migration of web1"),
        ("backup", "Backup of web1"),
        ("rollback", "Rollback of web1"),
        ("finalize", "Settling of web1"),
        ("plan", ""),
        ("restore", ""),
    ],
)
async def test_end_of_the_host_is_held_off(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, operation: str, why: str
) -> None:
    script = lab.folder / "bin/systemd-inhibit"
    script.parent.mkdir()
    script.write_text(INHIBIT.format(folder=lab.folder))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    told = lab.folder / "held"
    job = await lab.submit(operation=operation, two="wait")
    await lab.step(job, "two")
    asked = f"--what=shutdown:sleep --mode=block --who=xen2kvm --why={why} cat\n" if why else ""
    assert (told.read_text() if told.exists() else "") == asked
    pid = lab.pid(job)
    (lab.place / "go").touch()
    assert (await lab.end(job)).state is JobState.SUCCEEDED
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    assert (told.read_text() if told.exists() else "") == (asked + "given up\n" if why else "")
