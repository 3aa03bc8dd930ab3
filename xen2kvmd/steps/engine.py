# SPDX-License-Identifier: GPL-2.0-or-later
"""Who converts what is inside the guest: we, or virt-v2v, which can do Windows."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xen2kvmd import guest
from xen2kvmd.errors import Failed, InvalidOption, Unsupported
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Engine, Facts, Family, Finding, Request, Severity
from xen2kvmd.steps import context
from xen2kvmd.system import files
from xen2kvmd.targets.room import SCRATCH, Need, store_of

VIRTIO_WIN = ("/usr/share/virtio-win/virtio-win.iso", "/usr/share/virtio-win")
TOOLS = Path("/usr/share/virt-tools")
SPARE = 1 << 30  # bytes that virt-v2v wants free beside the disks
SERVICES = ("rhsrvany.exe", "pvvxsvc.exe")  # one of them runs virt-v2v's scripts in Windows


def look(run: Run, request: Request, appliance: Appliance) -> Facts:
    """Return what the guest is, and note who converts it.

    Raises Unsupported for one that the engine asked for cannot convert, Failed where virt-v2v is
    not installed, and InvalidOption where a file for it is not there.
    """
    try:
        facts = guest.inspect(appliance)
    except Unsupported:
        found = None if request.engine is Engine.NATIVE else guest.windows(appliance)
        if found:
            facts = replace(found, drivers=bool(virtio_win(request)))
        elif request.engine is Engine.V2V:
            facts = guest.unknown(appliance)
        else:
            raise
    v2v = request.engine is Engine.V2V or facts.family is Family.WINDOWS
    run.note("engine", (Engine.V2V if v2v else Engine.NATIVE).value)
    if v2v:
        if request.in_place:
            raise Unsupported(
                "virt-v2v converts this guest, and writes new disks: that is not in place.",
                hint="Have them copied: leave out --in-place.",
            )
        _check_given(request)
    return facts


def is_v2v(run: Run) -> bool:
    """Tell whether virt-v2v converts the guest."""
    return run.notes.get("engine") == Engine.V2V


def virtio_win(request: Request) -> str:
    """Return the path of the virtio drivers for Windows, "" where there are none."""
    places = (request.virtio_win,) if request.virtio_win else VIRTIO_WIN
    return next((path for path in places if Path(path).exists()), "")


def findings(run: Run, request: Request) -> Iterator[Finding]:
    """Yield what a person must know of a conversion by virt-v2v."""
    if not is_v2v(run):
        return
    yield Finding(
        "v2v-engine",
        "virt-v2v converts what is inside this guest. What it changes there, it does not tell "
        "beforehand: this plan shows the domain XML only.",
        Severity.WARNING,
        hint="It works on an overlay: the source's disks are not changed.",
    )
    family = context.facts(run).family
    if family is Family.UNKNOWN:
        yield Finding(
            "v2v-guest-unknown",
            "Neither Linux nor Windows was found in this guest: virt-v2v may refuse it, after the "
            "source was shut down.",
            Severity.WARNING,
            hint="The source is started again then, if it ran.",
        )
    windows = family is Family.WINDOWS
    if windows and not any((TOOLS / name).is_file() for name in SERVICES):
        yield Finding(
            "v2v-no-service",
            f"virt-v2v needs {' or '.join(SERVICES)} in {TOOLS} for Windows, and it is not there.",
            Severity.BLOCKER,
            hint="Install the package with it (mingw32-srvany, rhsrvany or virt-tools).",
        )


def needs(run: Run) -> Iterator[Need]:
    """Yield the room that virt-v2v's own disks take, until they are copied to the target."""
    if is_v2v(run):
        disks = context.disks(run)
        most, least = sum(disk.most for disk in disks), sum(disk.least for disk in disks)
        yield Need(
            f"virt-v2v's disks in {run.scratch}",
            most + SPARE,
            store_of(run.scratch),
            files.free(run.scratch),
            SCRATCH,
            doubt=most - least,
        )


def _check_given(request: Request) -> None:
    if shutil.which("virt-v2v") is None:
        raise Failed(
            "The program virt-v2v, which has to convert this guest, is not installed.",
            hint="Install the package virt-v2v.",
        )
    if request.virtio_win and not Path(request.virtio_win).exists():
        raise InvalidOption(
            f"The virtio drivers for Windows are not at {request.virtio_win}.",
            hint="Give the ISO image of virtio-win, or a folder with its content.",
        )
    if request.vmdp and not Path(request.vmdp).is_file():
        raise InvalidOption(f"There is no file {request.vmdp}.", hint="Give the path of vmdp.exe.")
