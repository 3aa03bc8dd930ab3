# SPDX-License-Identifier: GPL-2.0-or-later
"""What steps tell each other, read back from the notes; and the appliance, which they share."""

import json
from functools import partial
from pathlib import Path

import cattrs

from xen2kvmd import domain
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import (
    BootFile,
    Case,
    Engine,
    Facts,
    Finding,
    Installed,
    Plan,
    Request,
    SourceDisk,
)
from xen2kvmd.steps import disks as sources
from xen2kvmd.steps import keys
from xen2kvmd.system import assembly, files, ssh_login
from xen2kvmd.system import disk as images
from xen2kvmd.system.pace import Pace
from xen2kvmd.targets import ssh_address

SECRET = 0o600


def request(run: Run) -> Request:
    """Return what the caller asked for."""
    return cattrs.structure(run.spec, Request)


def autostart(run: Run) -> bool:
    """Tell whether the new guest starts with its host: as asked, or else as the source does."""
    asked = request(run).autostart
    return bool(run.notes["autostart"]) if asked is None else asked


def document(run: Run) -> str:
    """Return the source's domain XML, as the inspect step has read it."""
    return (run.folder / "source.xml").read_text("utf-8", "surrogateescape")


def source_findings(run: Run) -> tuple[Finding, ...]:
    """Return what was lost when the source's configuration became a domain XML."""
    return cattrs.structure(run.notes["source-findings"], tuple[Finding, ...])


def disks(run: Run) -> tuple[SourceDisk, ...]:
    """Return the disks to be copied, as the inspect step has found them."""
    return cattrs.structure(run.notes["disks"], tuple[SourceDisk, ...])


def facts(run: Run) -> Facts:
    """Return what the inspect step has found in the guest."""
    return cattrs.structure(run.notes["facts"], Facts)


def installed(run: Run) -> Installed:
    """Return what was installed in the guest before the plan was made."""
    return cattrs.structure(run.notes["installed"], Installed)


def boot_files(run: Run) -> tuple[BootFile, ...]:
    """Return the kernel and initrd of the Xen host that the new guest is to be started with."""
    return cattrs.structure(run.notes.get("boot-files", ()), tuple[BootFile, ...])


def boot_copy(run: Run, element: str) -> Path:
    """Return the path of the copy of the Xen host's "kernel" or "initrd"."""
    return run.scratch / f"host-{element}"


def case(run: Run) -> Case:
    """Return what the plan step has decided."""
    return cattrs.structure(run.notes["case"], Case)


def plan(run: Run) -> Plan:
    """Return the plan that the plan step has written."""
    return cattrs.structure(json.loads((run.folder / "plan.json").read_text()), Plan)


def write(run: Run, name: str, text: str) -> None:
    """Write a file of the job's folder."""
    files.write_atomic(run.folder / name, text, mode=SECRET)


def overlay(run: Run, dev: str) -> Path:
    """Return the path of the overlay that takes the conversion's writes to a disk."""
    return run.scratch / f"{dev}.qcow2"


def appliance(run: Run) -> tuple[Appliance, bool]:
    """Return the appliance with the guest's disks, and whether it was opened just now.

    The steps of one process share it, because its launch takes long. After a crash there is none:
    the overlays are made anew, and what was half converted is gone with the old ones.
    """
    open_one = run.take(Appliance)
    if open_one is not None:
        return open_one, False
    return _open(run, overlays(run), network=False), True


def reopen(run: Run, *, network: bool) -> Appliance:
    """Start the appliance anew on the overlays as they are; nothing is mounted in it."""
    run.close(Appliance)
    opened = tuple(
        DiskImage(disk.dev, str(overlay(run, disk.dev)), "qcow2", disk.joined)
        for disk in disks(run)
    )
    return _open(run, opened, network=network)


def _open(run: Run, opened: tuple[DiskImage, ...], *, network: bool) -> Appliance:
    asked = request(run)
    source = domain.read(document(run))
    new = Appliance.open(
        opened,
        writable=True,
        emulate=not run.notes["kvm"],
        remote=any(disk.host for disk in disks(run)),
        network=network,
        keys=keys.read(asked, run.secrets),
        root="" if asked.engine is Engine.V2V else asked.root,  # virt-v2v's own words for it
        arguments="" if source.kind == "hvm" else source.cmdline,  # as Xen leaves them, too
    )
    return run.keep(new, partial(new.close))


def overlays(run: Run) -> tuple[DiskImage, ...]:
    """Make the overlay of each disk anew; what the old ones held is gone."""
    opened = []
    for disk in disks(run):
        path = overlay(run, disk.dev)
        if disk.parts and not sources.is_served(disk):
            base, base_format = str(assembly.make(run.scratch, disk)), assembly.FORMAT
        else:
            base, base_format = sources.location(run, disk), disk.format
        images.make_overlay(path, base=base, base_format=base_format)
        opened.append(DiskImage(disk.dev, str(path), "qcow2", disk.joined))
    return tuple(opened)


def pace(run: Run) -> Pace:
    """Return the pace that was asked for, or the least that is configured for one of the hosts."""
    asked = request(run)
    hosts = {disk.host for disk in disks(run)} | {ssh_address(asked)}
    configured = [limit for host in hosts - {""} if (limit := ssh_login.rate_limit(host))]
    return Pace(asked.rate_limit or min(configured, default=0))
