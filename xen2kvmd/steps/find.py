# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the source's domain XML and find its disks; for a backup that is all there is to know."""

from functools import partial

import cattrs

from xen2kvmd import domain
from xen2kvmd.errors import Unsupported, VmNotFound
from xen2kvmd.jobs.claim import claim
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Operation, Request, SourceDisk
from xen2kvmd.sources import Source, open_source
from xen2kvmd.steps import context, disks, way, xl
from xen2kvmd.steps.assemble import assemble
from xen2kvmd.targets import backups
from xen2kvmd.targets.room import check_room


def find(run: Run, request: Request) -> tuple[Source, tuple[SourceDisk, ...]]:
    """Write source.xml and the notes disks, stamps, source-findings and source-state.

    Returns the source and its disks, those put together that have to be. Raises Busy if another job
    has the guest, by whatever name, VmRunning if xl has it, and Unsupported if it has no disks.
    """
    source = open_source(request)
    imported = source.read()
    context.write(run, "source.xml", imported.domain_xml)
    described = domain.read(imported.domain_xml)
    if request.vm.lower() not in ("", described.name.lower(), described.uuid.lower()):
        raise VmNotFound(f"The source describes '{described.name}', not '{run.spec['vm']}'.")
    if request.operation in (Operation.MIGRATE, Operation.BACKUP):
        claim(run, described.uuid)
    state = xl.ask(run, runs=source.is_running())
    run.note("source-state", "running" if state.runs else "off")  # or nobody knows
    known = (way.told(one, described.disks, request.path_map) for one in imported.findings)
    told = (*known, *xl.findings(run, state))
    there = tuple(disks.find(run, request, described, host=source.disk_host))
    if not there:
        raise Unsupported(
            f"The guest '{described.name}' has no disk of its own.",
            hint="All that it has is its domain XML, which 'xen2kvm convert-xml' converts.",
        )
    found = assemble(there, partial(disks.head, run))
    run.note("disks", cattrs.unstructure(found))
    told += (
        *disks.findings(run, found, in_place=request.in_place),
        *disks.of_luns(described),
    )
    run.note("source-findings", cattrs.unstructure(told))
    run.note("stamps", {disk.dev: disks.stamp(run, disk) for disk in found})
    disks.check_unlocked(found)
    check_room(backups.needs(request, found))
    return source, found


def do(run: Run) -> None:
    """Find the disks, and tell what is to be known of them."""
    find(run, context.request(run))
    for finding in context.source_findings(run):
        run.finding(finding)


FIND = Step("find", do, weight=2)
