# SPDX-License-Identifier: GPL-2.0-or-later
"""Find out, by rehearsal, all that the migration will change, and whether it may begin."""

import json

import cattrs

from xen2kvmd import guest, plan
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Case, Operation, Plan, Request
from xen2kvmd.steps import agreed, context, engine, set_aside, storage
from xen2kvmd.system import kvm
from xen2kvmd.targets import open_places, target_host


def do(run: Run) -> None:
    """Write plan.json and target.xml, note the case; keep the rehearsal for the conversion.

    For a migration, raises PlanChanged if it is not the plan that the caller agreed to, and
    Blocked if a finding forbids it.
    """
    request = context.request(run)
    appliance, _ = context.appliance(run)
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
    text, disks, facts = context.document(run), context.disks(run), context.facts(run)
    installed, boot_files = context.installed(run), context.boot_files(run)
    with target_host(request) as host:
        places = open_places(request, host, disks)
        case = plan.make_case(
            request,
            document=text,
            disks=disks,
            facts=facts,
            host=host,
            places=places,
            kvm=run.notes["target-kvm"],
            under_xen=kvm.under_xen() and not host.remote,
            agent=request.guest_agent or installed.agent,
            boot_files=boot_files,
            more=engine.needs(run),
        )
        made, rehearsed = plan.make_plan(
            request,
            document=text,
            disks=disks,
            case=case,
            host=host,
            tree=appliance,
            found=(
                *context.source_findings(run),
                *storage.findings(request, host),
                *set_aside.findings(request, case.target, disks, host, boot_files),
                *engine.findings(run, request),
            ),
            installed=installed,
            inside=not engine.is_v2v(run),
            boot_files=boot_files,
        )
    return made, case, rehearsed


PLAN = Step("plan", do, weight=10)
