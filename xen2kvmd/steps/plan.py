# SPDX-License-Identifier: GPL-2.0-or-later
"""Find out, by rehearsal, all that the migration will change, and whether it may begin."""

import json
from collections.abc import Iterable

import cattrs

from xen2kvmd import guest, plan
from xen2kvmd.errors import Blocked, PlanChanged
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Case, Finding, Operation, Plan, Request
from xen2kvmd.steps import context, engine, set_aside, storage
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
        run.finding(cattrs.unstructure(found))
    run.result("plan-digest", made.digest)
    run.result("name", made.name)
    if request.operation is Operation.MIGRATE:
        _check_agreed(request, made)
        _check_blockers(made.blockers(request.waive))
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


def _check_agreed(request: Request, made: Plan) -> None:
    if request.plan_digest and request.plan_digest != made.digest:
        raise PlanChanged(
            f"The source, or this host, changed since the plan {request.plan_digest[:19]}… was "
            "made.",
            hint="Look at a new plan, and migrate with its digest.",
        )


def _check_blockers(blockers: Iterable[Finding]) -> None:
    found = tuple(blockers)
    if found:
        hints = " ".join(finding.hint for finding in found if finding.hint)
        raise Blocked(
            "; ".join(f"{finding.message.rstrip('.')} [{finding.id}]" for finding in found) + ".",
            hint=f"{hints} A finding is waived with --waive ID, at your own risk.".strip(),
        )


PLAN = Step("plan", do, weight=10)
