# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the source's domain XML, look at its disks, and find out what guest is on them."""

import cattrs

from xen2kvmd import domain, plan
from xen2kvmd.errors import VmNotFound
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Operation
from xen2kvmd.sources import open_source
from xen2kvmd.steps import context, disks, engine, keys, packages, window
from xen2kvmd.steps.assemble import assemble
from xen2kvmd.steps.backup_disks import check_room
from xen2kvmd.system import appliances, kvm
from xen2kvmd.system.libvirt import connected
from xen2kvmd.system.remotes import sweep
from xen2kvmd.targets import open_places


def do(run: Run) -> None:
    """Write source.xml and the notes disks, stamps and facts; keep the appliance for later steps.

    The appliance works on overlays: nothing is ever written to the source.
    """
    request = context.request(run)
    window.check(request, needed=0)
    packages.check(request)
    keys.read(request)  # better now than after a launch
    source_host = open_source(request)
    imported = source_host.read()
    text = imported.domain_xml
    context.write(run, "source.xml", text)
    source = domain.read(text)
    if request.vm.lower() not in ("", source.name.lower(), source.uuid.lower()):
        raise VmNotFound(f"The source describes '{source.name}', not '{run.spec['vm']}'.")
    found = assemble(tuple(disks.find(run, request, source, host=source_host.disk_host)))
    run.note("disks", cattrs.unstructure(found))
    known = (*imported.findings, *disks.findings(found))
    run.note("source-findings", cattrs.unstructure(known))
    run.note("stamps", {disk.dev: disks.stamp(run, disk) for disk in found})
    disks.check_unlocked(found)
    check_room(request, found)
    run.note("sockets", appliances.folders())
    with connected() as host:
        if request.operation is not Operation.INSPECT:  # better now than after a launch
            places = open_places(request, host, found)
            plan.check_target(request, document=text, disks=found, host=host, places=places)
        emulator = host.emulator("x86_64")
    run.note("autostart", source_host.autostarts())
    run.note("kvm", emulator.kvm and kvm.works(emulator.path))
    run.fraction(0.1, "starting the appliance")
    appliance, _ = context.appliance(run)
    run.fraction(0.7, "looking into the guest")
    facts = packages.install(run, request, engine.look(run, request, appliance))
    run.note("facts", cattrs.unstructure(facts))
    run.result("guest", facts.product or facts.distro)


def undo(run: Run) -> None:
    """Sweep up what the appliance of a killed process left running, and outside the folder."""
    appliances.sweep(run.notes.get("sockets", []), run.scratch)
    sweep(run.folder)


INSPECT = Step("inspect", do, undo, weight=25)
