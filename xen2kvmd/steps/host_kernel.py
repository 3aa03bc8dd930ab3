# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch the kernel that the Xen host gave the guest, for a guest that has none of its own."""

from pathlib import Path

import cattrs

from xen2kvmd import domain, guest
from xen2kvmd.errors import InvalidDisk
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Facts, Finding, Installed, Request, Severity
from xen2kvmd.sources import open_source
from xen2kvmd.steps import context, disks, engine

LARGEST = 512 << 20  # bytes of a kernel or an initrd
PIECE = 1 << 20


def carry(run: Run, request: Request, facts: Facts) -> Facts:
    """Put the kernel into the guest if it needs one; return what the guest is then.

    What is done adds to what was noted as `installed`.
    """
    source = domain.read(context.document(run))
    if facts.kernels or not source.kernel or engine.is_v2v(run):
        return facts
    try:
        kernel = _fetched(run, request, source.kernel, to="kernel")
        initrd = _fetched(run, request, source.initrd, to="initrd") if source.initrd else None
    except (InvalidDisk, OSError) as error:
        _note(run, Installed(findings=(_unread(source.kernel, str(error)),)))
        return facts
    appliance, _ = context.appliance(run)
    facts, carried = guest.carry(appliance, facts, kernel, initrd)
    _note(run, carried)
    return facts


def _fetched(run: Run, request: Request, name: str, *, to: str) -> guest.HostFile:
    """Return a file of this host, or a copy of one of another. Raises InvalidDisk or OSError."""
    host = open_source(request).disk_host
    where, path = disks.mapped(name, request.path_map, host=host)
    if not where:
        file = Path(path)
        if not file.is_file() or file.stat().st_size > LARGEST:
            raise InvalidDisk(f"{path} is no file of this host.")
        return guest.HostFile(name, file)
    far = disks.remotes(run).disk(where, path)
    size = far.size.size
    if size > LARGEST:
        raise InvalidDisk(f"{path} has {size} bytes, too many for a kernel.")
    copy = run.scratch / f"host-{to}"
    with copy.open("wb") as stream:
        for at in range(0, size, PIECE):
            stream.write(far.read(at, min(PIECE, size - at)))
    return guest.HostFile(name, copy)


def _note(run: Run, more: Installed) -> None:
    known = context.installed(run)
    changes, findings = (*known.changes, *more.changes), (*known.findings, *more.findings)
    run.note("installed", cattrs.unstructure(Installed(changes, findings, known.agent)))


def _unread(kernel: str, why: str) -> Finding:
    return Finding(
        "host-kernel-left",
        f"The guest has no kernel, and that of the Xen host, {kernel}, cannot be read: {why}",
        Severity.WARNING,
        hint="Say where it is with --path-map, or install the distribution's kernel in the guest.",
        place="os/kernel",
    )
