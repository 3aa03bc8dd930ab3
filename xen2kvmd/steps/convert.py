# SPDX-License-Identifier: GPL-2.0-or-later
"""Convert the guest, offline and in an overlay: the source's disks are only read.

It comes before the copy. So the guest can be trimmed first and what it had deleted is not copied,
one launch of the appliance serves inspection and conversion, and a conversion that fails has cost
no copy. (virt-v2v has the same order for the same reasons.)
"""

from collections.abc import Iterable
from dataclasses import dataclass

from xen2kvmd import guest
from xen2kvmd.errors import Failed, PlanChanged
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Finding, Severity
from xen2kvmd.steps import context, engine, packages, v2v
from xen2kvmd.steps.plan import rehearse
from xen2kvmd.system import files


@dataclass(frozen=True)
class Converted:
    """Kept if this process converted: it can still verify what it read of the disks for that."""


def do(run: Run) -> None:
    """Convert, by ourselves or by virt-v2v; what the overlays hold outlives this process."""
    (v2v.convert if engine.is_v2v(run) else _convert)(run)
    for disk in context.disks(run):
        files.sync(context.overlay(run, disk.dev))  # an appliance writes as fast as it can
    run.keep(Converted(), lambda: None)


def _convert(run: Run) -> None:
    """Do exactly what the rehearsal showed, then look at the result."""
    request = context.request(run)
    appliance, fresh = packages.looked_into(run, request)
    rehearsed = run.take(guest.Rehearsed)
    if fresh or rehearsed is None:
        made, _, rehearsed = rehearse(run, request, appliance)
        if made.digest != context.plan(run).digest:
            what = (
                "source, or a repository of the guest," if request.guest_repositories else "source"
            )
            raise PlanChanged(f"The {what} changed since the job began.", hint="Migrate again.")
    remote = any(disk.host for disk in context.disks(run))
    run.fraction(0.0, "checking file systems")
    before: guest.Before = {} if remote else guest.check_before(appliance)
    for damage in filter(None, before.values()):
        run.finding(damage)
    failed = guest.apply(
        appliance, rehearsed.operations, lambda done, at: run.fraction(0.1 + 0.7 * done, at)
    )
    run.fraction(0.8, "looking at the result")
    judge(run, (*failed, *guest.check(appliance, context.case(run))))
    run.fraction(0.9, "giving back unused blocks")
    guest.trim(appliance)
    run.fraction(0.95, "checking file systems")
    checked = () if remote else guest.check_file_systems(appliance, before)
    for found in checked:
        run.finding(found)
    run.close(Appliance)


def judge(run: Run, findings: Iterable[Finding]) -> None:
    """Tell all findings about the converted guest. Raises Failed for a blocker, if not waived."""
    wrong = []
    waived = context.request(run).waive
    for found in findings:
        run.finding(found)
        if found.severity is Severity.BLOCKER and found.id not in waived:
            wrong.append(found)
    if wrong:
        raise Failed(
            "The converted guest would not boot: "
            + " ".join(f"{found.message} [{found.id}]" for found in wrong),
            hint="; ".join(found.hint for found in wrong),
        )


CONVERT = Step("convert", do, weight=60)
