# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the source's domain XML, look at its disks, and find out what guest is on them."""

from collections.abc import Iterator
from pathlib import Path

import cattrs

from xen2kvmd import domain, guest, plan
from xen2kvmd.errors import Blocked, InvalidDisk, Unsupported, VmNotFound
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Operation, Request, SourceDisk
from xen2kvmd.sources import open_source
from xen2kvmd.steps import context
from xen2kvmd.system import appliances, kvm
from xen2kvmd.system import disk as images
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import open_places


def do(run: Run) -> None:
    """Write source.xml and the notes disks, stamps and facts; keep the appliance for later steps.

    The appliance works on overlays: nothing is ever written to the source.
    """
    request = context.request(run)
    source_host = open_source(request)
    imported = source_host.read()
    text = imported.domain_xml
    context.write(run, "source.xml", text)
    run.note("source-findings", cattrs.unstructure(imported.findings))
    source = domain.read(text)
    if request.vm.lower() not in ("", source.name.lower(), source.uuid.lower()):
        raise VmNotFound(f"The source describes '{source.name}', not '{run.spec['vm']}'.")
    if source_host.remote:
        _check_shared(request)
    disks = tuple(_disks(source))
    run.note("disks", cattrs.unstructure(disks))
    run.note("stamps", {disk.dev: stamp(disk.path) for disk in disks})
    for disk in disks:
        images.check_unlocked(disk.path)
    run.note("sockets", appliances.folders())
    with connected() as host:
        if request.operation is not Operation.INSPECT:  # better now than after a launch
            places = open_places(request, host, [disk.dev for disk in disks])
            plan.check_target(request, document=text, disks=disks, host=host, places=places)
        emulator = host.emulator("x86_64")
    run.note("kvm", emulator.kvm and kvm.works(emulator.path))
    run.fraction(0.1, "starting the appliance")
    appliance, _ = context.appliance(run)
    run.fraction(0.7, "looking into the guest")
    facts = guest.inspect(appliance)
    run.note("facts", cattrs.unstructure(facts))
    run.result("guest", facts.product or facts.distro)


def undo(run: Run) -> None:
    """Sweep up what the appliance of a killed process left running, and outside the folder."""
    appliances.sweep(run.notes.get("sockets", []), run.scratch)


def stamp(path: str) -> list[int]:
    """Return what changes when a disk is written: a guest that runs shows."""
    state = Path(path).stat()
    return [state.st_mtime_ns, state.st_size]


def _check_shared(request: Request) -> None:
    """Refuse disks of another host, unless the caller knows that they are here too.

    The same path here may be a file of another guest: only a person can tell.
    """
    if "remote-disks" not in request.waive:
        raise Blocked(
            "The guest's disks are on another host, and are not read over the network yet "
            "[remote-disks].",
            hint="If they are on storage that this host has under the same paths, say so with "
            "--waive remote-disks. Otherwise copy them here, and migrate from the domain XML.",
        )


def _disks(source: domain.SourceDomain) -> Iterator[SourceDisk]:
    """Yield the disks to be copied; media in drives are carried by the domain XML alone."""
    for disk in source.disks:
        if disk.device != "disk":
            continue
        if disk.type not in ("file", "block"):
            raise Unsupported(
                f"Disk '{disk.dev}' is of the type '{disk.type}', which cannot be read yet.",
                hint="Copy it to a file on this host and point the domain XML at that.",
            )
        if not Path(disk.path).is_absolute():
            raise InvalidDisk(
                f"Disk '{disk.dev}' has no absolute path: '{disk.path}'.",
                hint="Correct its <source> in the domain XML.",
            )
        info = images.examine(disk.path, disk.format)
        yield SourceDisk(disk.dev, disk.path, disk.format, info.size, info.allocated)


INSPECT = Step("inspect", do, undo, weight=25)
