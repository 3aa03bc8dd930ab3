# SPDX-License-Identifier: GPL-2.0-or-later
"""Mount an NFS export that is to take the disks, as a libvirt pool (guide 15.1: -os HOST:/DIR)."""

from collections.abc import Iterator
from dataclasses import replace

from xen2kvmd.errors import PlanChanged
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import DiskFormat, Finding, Request, Severity
from xen2kvmd.plan import Inputs, check_target
from xen2kvmd.steps import agreed, context, set_aside
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets import NfsExport, boot_place, open_places, target_host


def findings(request: Request, host: Host) -> Iterator[Finding]:
    """Tell what an export needs; the same whether it is mounted already or not."""
    if request.nfs_export:
        pool = NfsExport(host, request.nfs_export).name
        yield Finding(
            "nfs-export",
            f"The disks go to {request.nfs_export}, by libvirt's pool '{pool}'. Where the target "
            "host has not mounted it yet, nobody knows whether it has room, and what is there.",
            Severity.INFO,
            hint="It is mounted, and looked at, before the source is shut down.",
        )


def do(run: Run) -> None:
    """Make the export's pool where there is none, and start it; then look what is there.

    Raises InsufficientSpace, TargetExists, Blocked and PlanChanged for what the plan could not see.
    It comes before the shutdown: an export that cannot be mounted costs no downtime.
    """
    request = context.request(run)
    if not request.nfs_export:
        return
    with target_host(request) as host:
        export = NfsExport(host, request.nfs_export)
        if not host.pool_folder(export.name):
            run.note("pool-defined", export.name)
            host.define_pool(export.document())
        if not host.pool_is_active(export.name):
            run.note("pool-started", export.name)
            host.start_pool(export.name)
        run.result("pool", export.name)
        disks = context.disks(run)
        places = open_places(request, host, disks)
        inputs = Inputs(request, context.document(run), disks=disks, host=host)
        uncertain = check_target(inputs, places=places)
        for volume in context.plan(run).volumes:
            places.get(volume.dev, boot_place(places)).volume(
                dev=volume.dev,
                name=volume.name,
                disk_format=DiskFormat(volume.format),
                may_exist=request.overwrite,
            )
        _tell_uncertain(run, uncertain)
        _tell_replaced(run, host, export)


def _tell_uncertain(run: Run, uncertain: tuple[Finding, ...]) -> None:
    """Tell whether the export may have too little room, unless the plan did."""
    plan = context.plan(run)
    if not {finding.id for finding in uncertain} <= {finding.id for finding in plan.findings}:
        for finding in uncertain:
            run.finding(finding)
    agreed.check_blockers(replace(plan, findings=uncertain).blockers(context.request(run).waive))


def _tell_replaced(run: Run, host: Host, export: NfsExport) -> None:
    """Tell what is replaced on the export, unless the plan did; the caller has to agree."""
    request, plan = context.request(run), context.plan(run)
    target, boot_files = context.case(run).target, context.boot_files(run)
    replaced = set_aside.findings(request, target, context.disks(run), host, boot_files)
    new = tuple(finding for finding in replaced if finding not in plan.findings)
    for finding in new:
        run.finding(finding)
    agreed.check_blockers(replace(plan, findings=new).blockers(request.waive))
    if new and request.plan_digest:
        raise PlanChanged(
            f"{new[0].message} The plan could not see the export {request.nfs_export}.",
            hint=f"Have it mounted by a pool, such as '{export.name}', and look at a new plan; or "
            "migrate without a digest.",
        )


def undo(run: Run) -> None:
    """Stop the pool if it did not run, and forget it if it was not there."""
    if not {"pool-started", "pool-defined"} & run.notes.keys():
        return  # a target that is out of reach is not waited for
    with target_host(context.request(run)) as host:
        if name := run.notes.get("pool-started"):
            host.stop_pool(name)
        if name := run.notes.get("pool-defined"):
            host.undefine_pool(name)


STORAGE = Step("storage", do, undo, weight=1)
