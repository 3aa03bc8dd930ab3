# SPDX-License-Identifier: GPL-2.0-or-later
"""The worker: `python3 -m xen2kvmd.job ID` runs one job to its end in a process of its own."""

import sys
from collections.abc import Sequence

from xen2kvmd.jobs.process import run
from xen2kvmd.jobs.step import Step
from xen2kvmd.model import Operation
from xen2kvmd.steps.operations import STEPS


def steps_of(operation: str) -> Sequence[Step]:
    """Return the steps of an operation."""
    return STEPS[Operation(operation)]


if __name__ == "__main__":
    sys.exit(run(steps_of))
