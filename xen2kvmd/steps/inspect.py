# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the source's domain XML, look at its disks, and find out what guest is on them."""

from xen2kvmd import plan
from xen2kvmd.jobs import leftovers, places
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Operation, Request
from xen2kvmd.steps import context, find, hooks, keys, packages, window
from xen2kvmd.system import kvm, ssh
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.libvirt_emulator import Emulator
from xen2kvmd.targets import NfsExport, open_places, ssh_address, target_host


def do(run: Run) -> None:
    """Write source.xml and the notes disks, stamps and facts; keep the appliance for later steps.

    The appliance works on overlays: nothing is ever written to the source.
    """
    request = context.request(run)
    window.check(request, needed=0)
    packages.check(request)
    keys.read(request, run.secrets)  # better now than after a launch
    tuple(hooks.folders(request))
    source, found = find.find(run, request)
    text = context.document(run)
    leftovers.expect(run)
    with target_host(request) as host:
        if request.operation is not Operation.INSPECT:
            # Better now than after a launch; how much room the disks take, only that will show.
            inputs = plan.Inputs(request, text, disks=found, host=host)
            plan.check_target(inputs, places=open_places(request, host, found))
        emulator = host.emulator("x86_64")
        if request.operation is Operation.MIGRATE:
            tell_pool(run, request, host)
    run.note("autostart", source.autostarts())
    _note_kvm(run, request, emulator)
    run.fraction(0.1, "starting the appliance")
    context.appliance(run)
    run.fraction(0.7, "looking into the guest")
    facts = packages.look(run, request)
    run.result("guest", facts.product or facts.distro)


def tell_pool(run: Run, request: Request, host: Host) -> None:
    """Tell the queue which pool has the folder, or the export, that the disks go to."""
    pool = ""
    if request.directory:
        pool = host.folder_pool(request.directory)
    elif request.nfs_export:
        pool = NfsExport(host, request.nfs_export).name
    asked, counted = places.found(run.spec, pool) if pool else ("", "")
    if asked != counted:
        run.record("placed", asked=asked, pool=counted)


def _note_kvm(run: Run, request: Request, emulator: Emulator) -> None:
    """Note whether KVM works for our appliance, and for the new guest."""
    works = target_kvm(request, emulator)
    run.note("target-kvm", works)
    run.note("kvm", kvm.works(kvm.emulator()) if ssh_address(request) else works)


def target_kvm(request: Request, emulator: Emulator) -> bool:
    """Tell whether KVM works on the target host."""
    if not emulator.kvm:
        return False
    if not (address := ssh_address(request)):
        return kvm.works(emulator.path)
    with ssh.connected(address) as far:
        return kvm.works_on(far, emulator.path)


INSPECT = Step("inspect", do, weight=25)
