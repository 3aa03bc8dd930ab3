# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the Xen host's xl for the source, where its libvirt does not say that it runs.

A file tells nothing of its guest, and libvirt calls one "shut off" that `xl create` has started.
The copy of a guest that runs is damaged, and then the guest runs twice.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from xen2kvmd import domain
from xen2kvmd.errors import VmRunning
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Finding, Operation, Severity
from xen2kvmd.sources import open_source
from xen2kvmd.steps import context, way
from xen2kvmd.system import xl_there

ID = "source-not-shut-down"  # plan.PASSING has it: the plan is the same when it is shut down


@dataclass(frozen=True)
class State:
    """Whether a guest runs, None where nobody knows; and where, if it is xl that says so."""

    name: str
    runs: bool | None
    where: str = ""


def ask(run: Run, *, runs: bool | None) -> State:
    """Return the source's state; runs is what is known of it before xl is asked.

    The hosts that have its disks are asked. Raises ssh's errors.
    """
    source = domain.read(context.document(run))
    for host in () if runs else _hosts(run, source):
        answer = xl_there.runs(source.name, host)
        if answer:
            name = urlsplit(host).netloc.rpartition("@")[2]
            return State(source.name, runs=True, where=f"the host {name}" if host else "this host")
        runs = runs if answer is None else False
    return State(source.name, runs)


def _hosts(run: Run, source: domain.SourceDomain) -> list[str]:
    request = context.request(run)
    host = open_source(request).disk_host
    disks = [disk for disk in source.disks if disk.device == "disk"]
    return sorted({way.of_disk(disk, request.path_map, host=host)[0] for disk in disks})


def check(state: State) -> None:
    """Raise VmRunning if it is xl that has the source."""
    if state.where:
        raise VmRunning(
            f"The guest '{state.name}' runs on {state.where}.",
            hint=f"Shut it down there, then begin again: {_shutdown(state)}",
        )


def findings(run: Run, state: State) -> Iterator[Finding]:
    """Yield what a person must see to before the migration. Raises VmRunning in what copies."""
    if context.request(run).operation in (Operation.MIGRATE, Operation.BACKUP):
        check(state)
    if state.where:
        yield Finding(
            ID,
            f"The guest '{state.name}' runs on {state.where}: it is not migrated while it does.",
            Severity.WARNING,
            hint=f"Shut it down there before the migration: {_shutdown(state)}",
        )
    if state.runs is None:
        yield Finding(
            ID,
            "The source is a file: whether its guest still runs on the Xen host is not known.",
            Severity.WARNING,
            hint="Shut it down there, and keep it from starting again, before you use the copy.",
        )


def _shutdown(state: State) -> str:
    return shlex.join(("xl", "shutdown", state.name))
