# SPDX-License-Identifier: GPL-2.0-or-later
"""Find out, by rehearsal, all that the migration will change, and whether it may begin."""

import json
from collections.abc import Iterator, Sequence

import cattrs

from xen2kvmd import guest, plan
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Case, Finding, Operation, Plan, Request, Severity, SourceDisk
from xen2kvmd.steps import agreed, context, engine, packages, set_aside, storage
from xen2kvmd.system import kvm
from xen2kvmd.targets import open_places, target_host

# All inodes and tables would come over the network, only to come once more when they are copied:
# 10 minutes were not enough for 2 GiB at 0.5 MB/s, and the appliance was ended in the middle.
NOT_OVER_SSH = Finding(
    "filesystem-not-checked",
    "The guest's file systems are not checked: their disks are read over ssh.",
    Severity.INFO,
    hint="In the new guest, e2fsck -n or xfs_repair -n tell whether they are sound.",
)


def do(run: Run) -> None:
    """Write plan.json and target.xml, note the case; keep the rehearsal for the conversion.

    For a migration, raises PlanChanged if it is not the plan that the caller agreed to, and
    Blocked if a finding forbids it.
    """
    request = context.request(run)
    appliance, _ = packages.looked_into(run, request)
    made, case, rehearsed = rehearse(run, request, appliance)
    run.note("case", cattrs.unstructure(case))
    context.write(run, "plan.json", json.dumps(cattrs.unstructure(made), indent=1) + "\n")
    context.write(run, "target.xml", made.domain_xml)
    for found in made.findings:
        run.finding(found)
    run.result("plan-digest", made.digest)
    run.result("name", made.name)
    if request.operation is Operation.MIGRATE:
        agreed.check_digest(request, made)
        agreed.check_blockers(made.blockers(request.waive))
        run.keep(rehearsed, lambda: None)


def rehearse(
    run: Run, request: Request, appliance: Appliance
) -> tuple[Plan, Case, guest.Rehearsed]:
    """Make the plan of this job from what inspection noted."""
    text, disks = context.document(run), context.disks(run)
    installed, boot_files = context.installed(run), context.boot_files(run)
    live = run.notes.get("source-state") == "running"
    with target_host(request) as host:
        inputs = plan.Inputs(request, text, disks=disks, host=host, boot_files=boot_files)
        places = open_places(request, host, disks)
        uncertain = plan.check_target(inputs, places=places, more=engine.needs(run))
        case = plan.make_case(
            inputs,
            facts=context.facts(run),
            places=places,
            kvm=run.notes["target-kvm"],
            under_xen=kvm.under_xen() and not host.remote,
            agent=request.guest_agent or installed.agent,
        )
        made, rehearsed = plan.make_plan(
            inputs,
            case=case,
            tree=appliance,
            found=(
                *context.source_findings(run),
                *uncertain,
                *storage.findings(request, host),
                *set_aside.findings(request, case.target, disks, host, boot_files),
                *engine.findings(run, request),
                *(() if engine.is_v2v(run) else file_systems(appliance, disks, live=live)),
            ),
            installed=installed,
            inside=not engine.is_v2v(run),
            runs=live,
            autostart=context.autostart(run),
            limit=context.pace(run).rate,
        )
    return made, case, rehearsed


def file_systems(
    appliance: Appliance, disks: Sequence[SourceDisk], *, live: bool
) -> Iterator[Finding]:
    """Yield what a glance shows of the file systems, and whether the conversion will check them.

    Those of a guest that runs are not whole in what we read, and would be found faulty.
    """
    if not live:
        yield from guest.noted_damage(appliance)
    if any(disk.host for disk in disks):
        yield NOT_OVER_SSH


PLAN = Step("plan", do, weight=10)
