# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirtd ends, or hangs: nobody waits for ever, and the undo waits until it is back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.sshd import know_each_other
from tests.migration.test_far_target import URI as FAR_URI
from tests.migration.test_undo import (
    begin,
    check_nothing_left,
    show,
    temporary,
    wait_for_step,
)
from tests.migration.xenhost import shell

LIBVIRTD = "$(cat /run/libvirtd.pid)"
STOP, GO_ON = f"kill -STOP {LIBVIRTD}", f"kill -CONT {LIBVIRTD}"
END = f"kill {LIBVIRTD}; while pgrep -x libvirtd >/dev/null; do sleep 0.1; done"
BEGIN = """
    pgrep -x libvirtd || { setsid libvirtd </dev/null >>/run/sandbox/libvirtd.log 2>&1 & }
    until virsh list; do sleep 0.2; done
"""
WAYS = [(END, BEGIN), (STOP, GO_ON)]
CALL = f"""
import os, sys
from xen2kvmd.errors import ConnectionFailed
from xen2kvmd.system import libvirt_link
from xen2kvmd.system.libvirt import connected

libvirt_link.INTERVAL, libvirt_link.COUNT, libvirt_link.OPENED = 1, 2, 3.0
for _ in range(2):  # in a call, and before one
    try:
        with connected(sys.argv[1]) as host:
            host.name()
            os.system("{STOP}")
            host.domain_exists("web1")
    except ConnectionFailed as error:
        print(error.message)
"""
# A worker with one step, in the middle of which libvirtd goes away; $2 is for how long it waits.
WORK = '''
import os, sys
from xen2kvmd.jobs import patience
from xen2kvmd.jobs.process import run
from xen2kvmd.jobs.step import Step
from xen2kvmd.system import libvirt_link
from xen2kvmd.system.libvirt import connected

XML = """
<domain type="qemu"><name>away1</name><memory>65536</memory><os><type>hvm</type></os></domain>
"""

def do(run):
    with connected() as host:
        host.define(XML)
        os.system(away)
        host.domain_exists("away1")

def undo(run):
    with connected() as host:
        host.domain("away1").undefine()

away, patience.SECONDS = sys.argv.pop(1), float(sys.argv.pop(1))
libvirt_link.INTERVAL, libvirt_link.COUNT, libvirt_link.OPENED = 1, 2, 3.0
sys.exit(run(lambda _operation: [Step("define", do, undo)]))
'''
RECORD = {
    **dict.fromkeys(("vm", "source", "target"), ""),
    "id": "away",
    "operation": "inspect",
    "owner_uid": 0,
    "created_at": 1,
    "spec": {},
}


@pytest.fixture
def libvirtd(sandbox: Sandbox) -> Iterator[None]:
    """libvirtd, which is back at the end, whatever became of it."""
    yield
    sandbox.run("bash", "-c", f"{GO_ON}; {BEGIN}")


def wait_until_it_waits(sandbox: Sandbox, job: str) -> Any:
    waits = f"until xen2kvm show {job} | grep 'waiting to undo'; do sleep 0.2; done"
    assert sandbox.run("timeout", "300", "sh", "-c", waits).code == 0, show(sandbox, job)
    return show(sandbox, job)


@pytest.mark.slow
@pytest.mark.usefixtures("libvirtd", "sshd")
@pytest.mark.parametrize("uri", ["qemu:///system", FAR_URI])
def test_call_to_a_libvirtd_that_hangs_ends(sandbox: Sandbox, uri: str) -> None:
    know_each_other(sandbox)
    called = sandbox.python(CALL, uri, seconds=60)
    assert called.out.splitlines() == [
        f"The connection to libvirt at {uri} was lost: it does not answer any more.",
        f"libvirt at {uri} does not answer: it has had 3 seconds.",
    ]


def worked(sandbox: Sandbox, away: str, *, seconds: float) -> tuple[Any, ...]:
    """Return the findings of a job for which libvirtd goes away, and that waits for so long."""
    folder = "/srv/jobs/away"
    shell(sandbox, f'mkdir -p {folder}; echo "$1" >{folder}/job.json', json.dumps(RECORD))
    argv = (away, str(seconds), "away", "--jobs", "/srv/jobs", "--events", "/srv/nobody")
    done = sandbox.python(WORK, *argv, seconds=120)
    assert done.code == 0, done.err
    events = sandbox.run("cat", f"{folder}/journal").out.splitlines()
    log = sandbox.run("cat", f"{folder}/log").out
    shell(sandbox, "rm -r /srv/jobs")
    found = [json.loads(event) for event in events]
    assert (found[-1]["state"], found[-1]["error_name"]) == ("failed", "ConnectionFailed"), log
    return tuple(event["finding"] for event in found if event["type"] == "finding")


@pytest.mark.slow
@pytest.mark.usefixtures("libvirtd")
@pytest.mark.parametrize(("away", "back"), WAYS, ids=["ends", "hangs"])
def test_what_a_libvirtd_that_is_back_has_is_undone(sandbox: Sandbox, away: str, back: str) -> None:
    later = f"setsid bash -c 'sleep 6; {back}' </dev/null >/dev/null 2>&1 &"
    assert worked(sandbox, f"{away}; {later}", seconds=60) == ()
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == ""


@pytest.mark.slow
@pytest.mark.usefixtures("libvirtd")
@pytest.mark.parametrize(("away", "back"), WAYS, ids=["ends", "hangs"])
def test_what_a_libvirtd_that_stays_away_has_is_told(
    sandbox: Sandbox, away: str, back: str
) -> None:
    (left,) = worked(sandbox, away, seconds=1)
    assert left["id"] == "left-behind"
    assert left["message"].startswith("Undo of step define failed: libvirt at qemu:///system ")
    shell(sandbox, back)
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == "away1"


@pytest.mark.guest
@pytest.mark.usefixtures("libvirtd")
def test_undo_of_a_migration_waits_for_libvirtd(sandbox: Sandbox, tiny: Path) -> None:
    """One that hangs is known to after two minutes: the tests above are given less."""
    before = temporary(sandbox)
    job = begin(sandbox, tiny)
    wait_for_step(sandbox, job, "copy", then=END)
    waits = wait_until_it_waits(sandbox, job)
    assert (waits["State"], waits["Phase"]) == ("running", "rollback")
    assert "libvirt at qemu:///system" in waits["Activity"]
    shell(sandbox, BEGIN)
    sandbox.run("xen2kvm", "follow", job)
    ended = show(sandbox, job)
    assert (ended["ErrorName"], ended["Findings"]) == ("ConnectionFailed", waits["Findings"])
    check_nothing_left(sandbox, job, before)
