# SPDX-License-Identifier: GPL-2.0-or-later
"""Mount an NFS export that is to take the disks, as a libvirt pool (guide 15.1: -os HOST:/DIR)."""

from xen2kvmd import plan
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.steps import context
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import NfsExport, open_places


def do(run: Run) -> None:
    """Make the export's pool where there is none, and start it; then look what is there.

    Raises InsufficientSpace and TargetExists, which the plan could not see. It comes before the
    shutdown: an export that cannot be mounted costs no downtime.
    """
    request = context.request(run)
    if not request.nfs_export:
        return
    with connected() as host:
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
        document = context.document(run)
        plan.check_target(request, document=document, disks=disks, host=host, places=places)
        for disk in context.plan(run).disks:
            dev, volume = disk.source.dev, disk.volume
            places[dev].volume(dev=dev, name=volume.name, disk_format=request.format)


def undo(run: Run) -> None:
    """Stop the pool if it did not run, and forget it if it was not there."""
    with connected() as host:
        if name := run.notes.get("pool-started"):
            host.stop_pool(name)
        if name := run.notes.get("pool-defined"):
            host.undefine_pool(name)


STORAGE = Step("storage", do, undo, weight=1)
