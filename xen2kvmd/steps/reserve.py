# SPDX-License-Identifier: GPL-2.0-or-later
"""Have what the job needs of this host, and of its target, before its source goes down.

Room is reserved by a note in the job's journal, which other jobs read: it counts until the disks
are copied, or the job is over, less what they have taken by then. So nothing is left to clear up
of a job that was killed, and a copy need not come out of a file that holds its room. All jobs that
write disks do so: migrations, backups and restores.

Where nobody knows how much that will be, and a person has waived it, the least is reserved, and
what is free is looked at while the copy runs (steps/headroom.py): other jobs keep theirs.
"""

import json
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cattrs

from xen2kvmd.errors import InsufficientSpace
from xen2kvmd.jobs import journal, last
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Operation, Plan, Volume
from xen2kvmd.steps import context, engine, turn
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets import backups, open_places, target_host
from xen2kvmd.targets.needs import needs
from xen2kvmd.targets.room import (
    BACKUP,
    SCRATCH,
    UNCERTAIN,
    Need,
    check_room,
    doubts,
    is_here,
)

COPIED, BACKED_UP = "copy", "backup-disks"  # the steps that take what is reserved
NOTE = "reserved"
UNCERTAIN_STORES = "room-uncertain"  # a note: where more may come than is reserved


def do(run: Run) -> None:
    """Wait for the job's turn of virt-v2v, if it needs one, then reserve its room.

    Raises InsufficientSpace where there is none beside what other jobs have still to write.
    """
    if engine.is_v2v(run):
        turn.take(run)
    with _alone(run):
        own, others = _wanted(run)
        _reserve(run, own, others)


def reserve_here(run: Run, own: Iterable[Need]) -> None:
    """Reserve room on file systems of this host; own is iterated when what is free is to be seen.

    Raises InsufficientSpace as `do` does.
    """
    with _alone(run):
        others = tuple(_others(run))
        _reserve(run, tuple(own), others)


def more(run: Run, sizes: Mapping[str, int]) -> None:
    """Reserve what the disks will take, by their <target dev>, where that is more than was thought.

    They are converted and trimmed now: no more than this is copied. Raises InsufficientSpace.
    """
    reserved = {need.part: need for need in cattrs.structure(run.notes[NOTE], list[Need])}
    doubtful = {dev: size for dev, size in sizes.items() if reserved[dev].doubt}
    if all(size <= reserved[dev].count for dev, size in doubtful.items()):
        return
    with _alone(run):
        own, others = _wanted(run)
        kept = [need for need in own if need.part not in (BACKUP, SCRATCH)]  # written already
        _reserve(run, tuple(_known(need, doubtful) for need in kept), others)


def _known(need: Need, sizes: Mapping[str, int]) -> Need:
    """Return what is wanted for a disk, now that the most that it takes is known."""
    count = sizes.get(need.part, need.count)
    return replace(need, count=count, doubt=max(0, count - need.least))


def headroom(run: Run) -> int:
    """Return how many bytes are free, where there is least, beside what other jobs have reserved.

    Only the stores count of which nobody knows whether they have enough for this job.
    """
    uncertain = run.notes[UNCERTAIN_STORES]
    own, others = _wanted(run)
    free = {need.store: need.available for need in own}
    return min(
        free[store] - sum(need.count for need in others if need.store == store)
        for store in uncertain
    )


def _wanted(run: Run) -> tuple[tuple[Need, ...], tuple[Need, ...]]:
    """Return what this job needs, and what others do where that comes.

    Others are looked at before what is free: they write meanwhile.
    """
    request, disks = context.request(run), context.disks(run)
    if request.operation is Operation.BACKUP:
        others = tuple(_others(run))
        return tuple(backups.needs(request, disks)), others
    with target_host(request) as host:
        places = open_places(request, host, disks)
        stores = {place.store() for place in places.values()}
        others = tuple(_others(run, host, stores))
        own = needs(request, disks, places, context.boot_files(run))
        return (*own, *engine.needs(run)), others


def _reserve(run: Run, own: tuple[Need, ...], others: tuple[Need, ...]) -> None:
    check_room((*own, *others))
    stores = {need.store for need in own}
    uncertain = {at: found for at, found in doubts((*own, *others)).items() if at in stores}
    if uncertain and UNCERTAIN not in context.request(run).waive:
        found = next(iter(uncertain.values()))
        raise InsufficientSpace(
            found.message, hint=f"{found.hint} It is waived with --waive {UNCERTAIN}."
        )
    least = [replace(n, count=n.least) if n.store in uncertain else n for n in own]
    run.note(UNCERTAIN_STORES, sorted(uncertain))
    run.note(NOTE, cattrs.unstructure(least))


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
    if COPIED in done or any(event["type"] == "ended" for event in events):
        return
    notes = {event["key"]: event["value"] for event in events if event["type"] == "note"}
    if not notes.get(NOTE):
        return
    volumes = _volumes(folder)
    begun = {volume["dev"] for volume in notes.get("volumes", ())}
    for need in cattrs.structure(notes[NOTE], list[Need]):
        if need.part == BACKUP:
            if BACKED_UP in done:
                continue
            taken = backups.taken(notes)
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
