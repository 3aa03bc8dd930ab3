# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths of the target host a caller names: the service, which is root, reads or writes them.

Who may migrate from a libvirt into a pool works with what the administrators of both have set up.
Who names a path can have any file of the host copied into a guest, or one written anywhere; that
is guarded by actions of its own, and so is an export of a server, which would be mounted here. A
description of a guest names paths in itself, whoever has read it: in its disks, kernel and shared
folders it says what the new guest is to have of this host.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlsplit

from xen2kvmd.domain import SourceDomain
from xen2kvmd.model import Request
from xen2kvmd.sources import FORMATS

KEY = "keyfile"  # the parameter of a URI that names a path
SHOWN = 20  # paths that polkit's dialog lists


def named_paths(request: Request, described: SourceDomain | None) -> Iterator[str]:
    """Yield the paths that a request names, none if it names none; described is the document.

    A credential is a file, too, which systemd gives the job: "credential:NAME". A key that came as
    a descriptor is none: whoever sends one has opened it.
    """
    named = (request.directory, request.nfs_export, request.backup_disks)
    yield from filter(None, (*named, request.virtio_win, request.vmdp))
    yield from request.packages
    yield from (f"credential:{key.credential}" for key in request.keys if key.credential)
    yield from (entry.new for entry in request.path_map)
    yield from (value for key, value in parse_qsl(urlsplit(request.target).query) if key == KEY)
    if described:
        yield from (disk.path for disk in described.disks if disk.path.startswith("/"))
    source = urlsplit(request.source)
    if source.scheme in FORMATS:
        yield source.path
        return
    yield from (value for key, value in parse_qsl(source.query) if key == KEY)
    if source.scheme.partition("+")[0] == "test" and source.path != "/default":
        yield source.path  # libvirt's pretended host reads itself from a file


def told(paths: Sequence[str], *, are: str = "paths") -> str:
    """Return a path, or another name, for polkit; several in words that no rule for one matches."""
    if len(paths) == 1:
        return paths[0]
    more = (f"{len(paths) - SHOWN} more",) if len(paths) > SHOWN else ()
    return f"{len(paths)} {are}: {', '.join((*paths[:SHOWN], *more))}"
