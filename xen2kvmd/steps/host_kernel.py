# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch the kernel that the Xen host gave the guest.

It is for a guest that has none of its own; or for its direct kernel boot, where that is asked for.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cattrs

from xen2kvmd import domain, guest
from xen2kvmd.errors import InvalidDisk
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import BootFile, Facts, Finding, Installed, Request, Severity
from xen2kvmd.sources import open_source
from xen2kvmd.steps import context, disks, engine, way
from xen2kvmd.system import blocks

LARGEST = 512 << 20  # bytes of a kernel or an initrd
PIECE = 1 << 20
SECTOR = 512
Read = Callable[[int, int], bytes]  # offset and length


def carry(run: Run, request: Request, facts: Facts) -> Facts:
    """Put the kernel into the guest if it needs one; return what the guest is then.

    What is done adds to what was noted as `installed`. Raises InvalidDisk if what is asked for to
    start the guest directly cannot be read.
    """
    source = domain.read(context.document(run))
    if not source.kernel or engine.is_v2v(run):
        return facts
    wanted = {"kernel": source.kernel} | ({"initrd": source.initrd} if source.initrd else {})
    if request.direct_kernel_boot:
        return _direct(run, request, facts, wanted)
    if facts.kernels:
        return facts
    try:
        files = {element: _fetched(run, request, element, at) for element, at in wanted.items()}
    except (InvalidDisk, OSError) as error:
        _note(run, Installed(findings=(_unread(source.kernel, error),)))
        return facts
    appliance, _ = context.appliance(run)
    facts, carried = guest.carry(appliance, facts, files["kernel"], files.get("initrd"))
    _note(run, carried)
    return facts


def _direct(run: Run, request: Request, facts: Facts, wanted: Mapping[str, str]) -> Facts:
    """Note what libvirt will start the guest with; what kernels the guest has does not matter."""
    found = []
    for element, path in wanted.items():
        try:
            file = _fetched(run, request, element, path)
        except OSError as error:
            raise InvalidDisk(
                f"{path} cannot be read: {error.strerror}.", hint="Say where it is with --path-map."
            ) from error
        size = -(-file.copy.stat().st_size // SECTOR) * SECTOR
        os.truncate(file.copy, size)  # so large is the disk that QEMU makes of it
        digest = blocks.digest(str(file.copy), "raw", lambda _done, _total: None)
        version = guest.version_of(file.copy, path) if element == "kernel" else ""
        found.append(BootFile(element, path, size, digest, version))
    run.note("boot-files", cattrs.unstructure(found))
    appliance, _ = context.appliance(run)
    _note(run, Installed(findings=guest.without_modules(appliance, found[0])))
    return replace(facts, kernels=())


def _fetched(run: Run, request: Request, element: str, name: str) -> guest.HostFile:
    """Copy a file of the Xen host into the job's folder. Raises InvalidDisk or OSError."""
    host = open_source(request).disk_host
    where, path = way.mapped(name, request.path_map, host=host)
    copy = context.boot_copy(run, element)
    if where:
        far = disks.remotes(run).disk(where, path)
        _write(run, copy, path, far.size.size, far.read)
        return guest.HostFile(name, copy)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # of a pipe, too
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidDisk(f"{path} is no file.", hint="Say where it is with --path-map.")
        _write(run, copy, path, status.st_size, lambda at, size: os.pread(descriptor, size, at))
    finally:
        os.close(descriptor)
    return guest.HostFile(name, copy)


def _write(run: Run, copy: Path, path: str, size: int, read: Read) -> None:
    """Write a file of the job that outlives this process. Raises InvalidDisk."""
    if not 0 < size <= LARGEST:  # those of /proc and /sys have no size, and may have no end
        raise InvalidDisk(f"{path} has {size} bytes: it is no kernel or initrd.")
    with copy.open("wb") as stream:
        for at in range(0, size, PIECE):
            run.check_cancelled()
            stream.write(read(at, min(PIECE, size - at)))
        stream.flush()
        os.fsync(stream.fileno())


def _note(run: Run, more: Installed) -> None:
    known = context.installed(run)
    changes, findings = (*known.changes, *more.changes), (*known.findings, *more.findings)
    run.note("installed", cattrs.unstructure(Installed(changes, findings, known.agent)))


def _unread(kernel: str, error: InvalidDisk | OSError) -> Finding:
    why = f"{error.strerror}." if isinstance(error, OSError) else error.message
    return Finding(
        "host-kernel-left",
        f"The guest has no kernel, and that of the Xen host, {kernel}, cannot be read: {why}",
        Severity.WARNING,
        hint="Say where it is with --path-map, or install the distribution's kernel in the guest.",
        place="os/kernel",
    )
