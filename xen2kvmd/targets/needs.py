# SPDX-License-Identifier: GPL-2.0-or-later
"""What a migration writes, and where it takes room."""

from collections.abc import Iterator, Mapping, Sequence

from xen2kvmd.model import BootFile, Request, SourceDisk
from xen2kvmd.targets import Place, backups, boot_place
from xen2kvmd.targets.room import Need


def needs(
    request: Request,
    disks: Sequence[SourceDisk],
    places: Mapping[str, Place],
    boot_files: Sequence[BootFile],
) -> Iterator[Need]:
    """Yield all that takes room, the backup too: it may lie on the target's file system."""
    free = {place: place.available() for place in set(places.values())}  # refreshes a pool once
    stores = {place: place.store() for place in free}
    for disk in disks:
        place = places[disk.dev]
        span = place.needed(disk, request.allocation)
        least = 0 if request.compress else span.least
        what, where = f"disk '{disk.dev}'", stores[place]
        yield Need(what, span.most, where, free[place], disk.dev, doubt=span.most - least)
    for file in boot_files:
        place = boot_place(places)
        what, where = f"{file.element} {file.path}", stores[place]
        yield Need(what, file.size, where, free[place], file.element)
    yield from backups.needs(request, disks)
