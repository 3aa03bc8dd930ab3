# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever happens to a job in whichever step, nothing is left, and nothing is missing.

verify is cut off in test_undo.py, in its middle, as inspect, convert and copy are, too; hooks, of
which there are none here, in tests/steps/test_hook_steps.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.case import IMAGES, NOW, Case
from tests.migration.cut import CANCEL, FAIL, KILL_AFTER, KILL_IN
from tests.migration.sandbox import Sandbox
from tests.migration.test_undo import check_nothing_runs, temporary
from tests.migration.xenhost import URI
from xen2kvmd.jobs.step import Step
from xen2kvmd.model import Operation
from xen2kvmd.steps.finalize import FINALIZE
from xen2kvmd.steps.operations import NATIVE
from xen2kvmd.steps.rollback import ROLLBACK

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("every-step")]

FINAL = "throw-away"  # once it has begun, the new guest is there to stay
NAMES = [step.name for step in NATIVE]
LATE = NAMES[NAMES.index("convert") + 1 :]
BEFORE = {"inspect": "begun", "plan": "inspected"}  # the stages before steps; else the planned one
RESUMED = ("convert", *(step.name for step in NATIVE if step.name in LATE and step.weight))
KILLED = (KILL_IN, KILL_AFTER)
GONE_BACK, WENT_ON = ("running", ""), ("shut off", "running")  # the states of source and target


def cells(*steps: Step) -> list[tuple[str, str]]:
    """Return each step with each way in which it can be cut off; some cannot be cancelled."""
    return [
        (step.name, way)
        for step in steps
        for way in (FAIL, CANCEL, KILL_IN, KILL_AFTER)
        if step.name != "verify" and (way != CANCEL or step.cancellable)
        if step.weight or way == KILL_IN  # not hooks
    ]


def restore_before(case: Case, step: str) -> None:
    """Let all be as it was at the last stage before a step."""
    if step in LATE:
        case.restore("converted", "old", "destroy")
    else:
        case.restore(BEFORE.get(step, "planned"), "old", "start")


@pytest.fixture(scope="module")
def case(shared_sandbox: Sandbox, tiny: Path) -> Iterator[Case]:
    made = Case(shared_sandbox, tiny)
    yield made
    made.close()


def cut_off(case: Case, job: str, step: str, way: str) -> str:
    """Cut a job off; if it was killed, let another worker end it. Return how it ended."""
    before = temporary(case.sandbox)
    killed = way in KILLED
    assert case.work(job, way, step) == (-9 if killed else 0), case.log()
    if killed:
        assert case.work(job) == 0, case.log()
    assert "left-behind" not in case.findings(job) or step == FINAL
    kept = set(case.sandbox.run("ls", f"{NOW}/jobs/{job}").out.split())
    assert not kept & {"scratch", "replaced.xml"}
    assert temporary(case.sandbox) <= before
    return case.state(job)


@pytest.mark.parametrize(("step", "way"), cells(*NATIVE))
def test_migration_that_is_cut_off_leaves_all_as_it_was(case: Case, step: str, way: str) -> None:
    restore_before(case, step)
    ended = cut_off(case, case.job, step, way)
    if step == FINAL:
        assert ended == "succeeded"
        assert states(case) == WENT_ON
        assert case.sandbox.run("ls", "-A", IMAGES).out == "tiny1-vda.qcow2\n"
        assert case.job in case.sandbox.run("virsh", "dumpxml", "tiny1").out
    else:
        assert ended == ("cancelled" if way == CANCEL else "failed")
        assert case.world() == case.before
        check_nothing_runs(case.sandbox)


@pytest.mark.parametrize(
    ("step", "way"),
    [
        ("plan", KILL_IN),  # whoever makes the plan then has not looked into the guest itself
        *((step, way) for step, way in cells(*NATIVE) if step in RESUMED and way in KILLED),
    ],
)
def test_killed_worker_of_a_job_that_resumes_costs_nothing(case: Case, step: str, way: str) -> None:
    restore_before(case, step)
    case.let_resume()
    assert cut_off(case, case.job, step, way) == "succeeded"
    assert "resumed" in case.findings(case.job)
    assert states(case) == WENT_ON
    assert case.sandbox.run("ls", "-A", IMAGES).out == "tiny1-vda.qcow2\n"
    assert case.job in case.sandbox.run("virsh", "dumpxml", "tiny1").out


def states(case: Case) -> tuple[str, str]:
    """Return the states of source and target, empty where it is gone."""
    source, target = (
        case.sandbox.run("virsh", "-c", uri, "domstate", "tiny1").out.strip()
        for uri in (URI, "qemu:///system")
    )
    return source, target


@pytest.mark.parametrize(("step", "way"), cells(*ROLLBACK))
def test_rollback_that_is_cut_off_lets_one_of_both_run_and_can_be_done_again(
    case: Case, step: str, way: str
) -> None:
    case.restore("migrated", "new", "destroy")
    job = case.settle(Operation.ROLLBACK)
    ended = cut_off(case, job, step, way)
    assert states(case).count("running") == 1
    if step == "fence":
        assert states(case) == WENT_ON
        assert ended == ("cancelled" if way == CANCEL else "failed")
    again = case.settle(Operation.ROLLBACK)
    assert case.work(again) == 0
    assert case.state(again) == "succeeded", case.log()
    assert states(case) == GONE_BACK
    assert case.sandbox.run("ls", "-A", IMAGES).out == ""


@pytest.mark.parametrize("way", [FAIL, KILL_IN])
def test_rollback_beside_a_source_that_runs_leaves_the_target_off(case: Case, way: str) -> None:
    """The Xen host came back, and started it: that is why somebody rolls back."""
    case.restore("migrated", "new", "start")
    assert states(case) == ("running", "running")
    cut_off(case, case.settle(Operation.ROLLBACK), "remove-target", way)
    assert states(case) == GONE_BACK


@pytest.mark.parametrize(("step", "way"), cells(*FINALIZE))
def test_finalize_that_is_cut_off_lets_the_target_run_and_can_be_done_again(
    case: Case, step: str, way: str
) -> None:
    case.restore("migrated", "new", "destroy")
    job = case.settle(Operation.FINALIZE)
    ended = cut_off(case, job, step, way)
    assert ended == ("cancelled" if way == CANCEL else "failed")
    assert states(case) == WENT_ON
    assert autostarts(case)
    again = case.settle(Operation.FINALIZE)
    assert case.work(again) == 0
    assert case.state(again) == "succeeded", case.log()
    assert states(case) == WENT_ON
    assert not autostarts(case)
    assert case.sandbox.run("find", f"{NOW}/backups", f"{NOW}/disks", "-type", "f").out == ""


def autostarts(case: Case) -> bool:
    """Tell whether the source starts with its host."""
    told = case.sandbox.run("virsh", "-c", URI, "dominfo", "tiny1").out
    return re.search(r"^Autostart: +enable", told, re.MULTILINE) is not None
