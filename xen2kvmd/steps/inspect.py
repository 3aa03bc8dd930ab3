# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the source's domain XML, look at its disks, and find out what guest is on them."""

import cattrs

from xen2kvmd import plan
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Operation
from xen2kvmd.steps import context, engine, find, keys, packages, window
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
    source, found = find.find(run, request)
    text = context.document(run)
    run.note("sockets", appliances.folders())
    with connected() as host:
        if request.operation is not Operation.INSPECT:  # better now than after a launch
            places = open_places(request, host, found)
            plan.check_target(request, document=text, disks=found, host=host, places=places)
        emulator = host.emulator("x86_64")
    run.note("autostart", source.autostarts())
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
