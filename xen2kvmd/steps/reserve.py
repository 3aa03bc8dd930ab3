# SPDX-License-Identifier: GPL-2.0-or-later
"""Have what the job needs of this host, and of its target, before its source goes down.

Room is reserved by a note in the job's journal, which other jobs read: it counts until the disks
are copied, or the job is over, less what they have taken by then. So nothing is left to clear up
of a job that was killed, and a copy need not come out of a file that holds its room. All jobs that
write disks do so: migrations, backups and restores.
"""

import json
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cattrs

from xen2kvmd.jobs import journal, last
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Operation, Plan, Volume
from xen2kvmd.steps import backup_disks, context, engine, turn
from xen2kvmd.steps.backup_disks import BACKUP_DISKS
from xen2kvmd.steps.copy import COPY
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets import backups, open_places, target_host
from xen2kvmd.targets.needs import needs
from xen2kvmd.targets.room import BACKUP, SCRATCH, Need, check_room, is_here

NOTE = "reserved"


def do(run: Run) -> None:
    """Wait for the job's turn of virt-v2v, if it needs one, then reserve its room.

    Raises InsufficientSpace where there is none beside what other jobs have still to write.
    """
    if engine.is_v2v(run):
        turn.take(run)
    request, disks = context.request(run), context.disks(run)
    if request.operation is Operation.BACKUP:
        reserve_here(run, backups.needs(request, disks))
        return
    with _alone(run), target_host(request) as host:
        places = open_places(request, host, disks)
        stores = {place.store() for place in places.values()}
        others = tuple(_others(run, host, stores))  # before what is free: they write meanwhile
        own = (*needs(request, disks, places, context.boot_files(run)), *engine.needs(run))
        _reserve(run, own, others)


def reserve_here(run: Run, own: Iterable[Need]) -> None:
    """Reserve room on file systems of this host; own is iterated when what is free is to be seen.

    Raises InsufficientSpace as `do` does.
    """
    with _alone(run):
        others = tuple(_others(run))
        _reserve(run, tuple(own), others)


def _reserve(run: Run, own: tuple[Need, ...], others: tuple[Need, ...]) -> None:
    check_room((*own, *others))
    run.note(NOTE, cattrs.unstructure(own))


def undo(run: Run) -> None:
    """Give the room back."""
    run.note(NOTE, [])


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Let no other job look for room at the same time."""
    while (lock := files.try_lock(run.folder.parent.parent / "room.lock")) is None:
        run.fraction(0.0, "waiting for another job to reserve its room")
        time.sleep(0.1)
    with lock:
        yield


def _others(run: Run, host: Host | None = None, stores: Collection[str] = ()) -> Iterator[Need]:
    """Yield what other jobs have reserved and not taken yet, here and in these stores of a host."""
    for folder in run.folder.parent.iterdir():
        if folder != run.folder:
            yield from _left(folder, host, stores)


def _left(folder: Path, host: Host | None, stores: Collection[str]) -> Iterator[Need]:
    """Yield what a job has still to write, as far as it comes to this host or to these stores."""
    if last.recall(folder):  # it is over: thousands may be, and their journals are long
        return
    try:
        events = journal.read(folder / "journal")
    except (OSError, ValueError):  # it has not begun, or is being removed; or the daemon tells
        return
    done = {event["step"] for event in events if event["type"] == "step-done"}
    if COPY.name in done or any(event["type"] == "ended" for event in events):
        return
    notes = {event["key"]: event["value"] for event in events if event["type"] == "note"}
    if not notes.get(NOTE):
        return
    volumes = _volumes(folder)
    begun = {volume["dev"] for volume in notes.get("volumes", ())}
    for need in cattrs.structure(notes[NOTE], list[Need]):
        if need.part == BACKUP:
            if BACKUP_DISKS.name in done:
                continue
            taken = backup_disks.taken(notes)
        elif need.part.startswith("/"):
            taken = files.taken(Path(need.part))
        elif need.part == SCRATCH:
            taken = files.taken(folder / "scratch")
        elif need.part not in begun:
            taken = 0  # what has its name is what it replaces
        elif is_here(need.store):
            taken = files.taken(Path(volumes[need.part].path))
        elif host and need.store in stores:
            taken = host.volume_taken(volumes[need.part].pool, volumes[need.part].name)
        else:
            continue
        left = max(0, need.count - taken)
        yield Need(f"{need.what} of the job {folder.name}", left, need.store, sys.maxsize)


def _volumes(folder: Path) -> Mapping[str, Volume]:
    """Return the volumes that a job makes, by their dev; a backup or a restore makes none."""
    try:
        document = (folder / "plan.json").read_text()
    except FileNotFoundError:
        return {}
    made = cattrs.structure(json.loads(document), Plan)
    return {volume.dev: volume for volume in made.volumes}


RESERVE = Step("reserve", do, undo, weight=1)
