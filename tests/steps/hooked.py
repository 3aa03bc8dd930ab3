# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker with real hooks around one step, which fails if the job's name says so."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cattrs

from xen2kvmd.errors import InvalidDisk
from xen2kvmd.jobs.process import run
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Facts, Plan, PlannedDisk, SourceDisk, Volume
from xen2kvmd.steps import context
from xen2kvmd.steps.hooks import hooks_step

FOLDER = Path(os.environ.get("TEST_HOOKS", "/nonexistent"))
PLAN = Plan(
    name="web1", source_name="web1-xen", facts=Facts(),
    disks=(
        PlannedDisk(
            SourceDisk("xvda", "/srv/a.img", "raw", 1 << 30, 1 << 20),
            Volume("xvda", "/images/web1.qcow2", "qcow2", pool="default", name="web1.qcow2"),
            "vda",
        ),
    ),
    changes=(), findings=(), domain_xml="<domain/>", bytes_total=1, seconds=1, downtime=1,
)  # fmt: skip


def plan(run_: Run) -> None:
    context.write(run_, "plan.json", json.dumps(cattrs.unstructure(PLAN)))


def work(run_: Run) -> None:
    (run_.folder / "made").touch()
    if run_.spec["name"] == "broken":
        raise InvalidDisk("The disk is broken.", hint="Mend it.")


def undo(run_: Run) -> None:
    (run_.folder / "made").unlink(missing_ok=True)


def steps_of(_operation: str) -> Sequence[Step]:
    return (
        Step("plan", plan),
        hooks_step("pre-migrate", folder=FOLDER),
        Step("work", work, undo),
        hooks_step("post-define", folder=FOLDER),
        hooks_step("post-migrate", folder=FOLDER),
    )


if __name__ == "__main__":
    sys.exit(run(steps_of))
