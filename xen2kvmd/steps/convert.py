# SPDX-License-Identifier: GPL-2.0-or-later
"""Convert the guest, offline and in an overlay: the source's disks are only read.

It comes before the copy. So the guest can be trimmed first and what it had deleted is not copied,
one launch of the appliance serves inspection and conversion, and a conversion that fails has cost
no copy. (virt-v2v has the same order for the same reasons.)
"""

import cattrs

from xen2kvmd import guest
from xen2kvmd.errors import Failed, PlanChanged
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Severity
from xen2kvmd.steps import context, engine, v2v
from xen2kvmd.steps.plan import rehearse


def do(run: Run) -> None:
    """Do exactly what the rehearsal showed, then look at the result; or let virt-v2v convert."""
    if engine.is_v2v(run):
        v2v.convert(run)
        return
    appliance, fresh = context.appliance(run)
    rehearsed = run.take(guest.Rehearsed)
    if fresh or rehearsed is None:
        run.note("facts", cattrs.unstructure(guest.inspect(appliance)))  # mounts it, too
        made, _, rehearsed = rehearse(run, context.request(run), appliance)
        if made.digest != context.plan(run).digest:
            raise PlanChanged("The source changed since the job began.", hint="Migrate again.")
    guest.apply(appliance, rehearsed.operations, lambda done, at: run.fraction(0.8 * done, at))
    run.fraction(0.8, "looking at the result")
    wrong = [
        finding
        for finding in guest.check(appliance, context.case(run))
        if finding.severity is Severity.BLOCKER
    ]
    if wrong:
        raise Failed(
            "The converted guest would not boot: " + " ".join(found.message for found in wrong),
            hint="; ".join(found.hint for found in wrong),
        )
    run.fraction(0.9, "giving back unused blocks")
    appliance.trim()
    run.fraction(0.95, "checking file systems")
    for found in guest.check_file_systems(appliance):
        run.finding(cattrs.unstructure(found))
    run.release()


CONVERT = Step("convert", do, weight=60)
