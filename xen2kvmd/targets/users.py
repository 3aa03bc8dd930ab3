# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses the files that a new guest replaces: domains, overlays, and any QEMU that runs.

On shared storage a file may be the disk of a guest of another host, which this libvirt does not
know. While that guest runs, QEMU's locks tell of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from xen2kvmd import xml
from xen2kvmd.errors import TargetExists, Unsupported
from xen2kvmd.model import Volume
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.target_files import TargetFiles

_OTHER_NAME = "Choose another name for the target with --name"


def check_unused(
    host: Host, files: TargetFiles, paths: Iterable[str], volumes: Iterable[Volume], *, name: str
) -> None:
    """Raise TargetExists if somebody uses a file: others than the domain `name`, which is to go.

    volumes tells how libvirt calls those that are in a pool. Raises Unsupported for what is no
    file.
    """
    there = tuple(paths)
    for path in there:
        if files.kind(path) != "file":
            raise Unsupported(
                f"{path} exists and is not a regular file: --overwrite cannot replace it.",
                hint=f"{_OTHER_NAME}, or remove it first.",
            )
    users = _users(host, volumes)
    for path in there:
        if others := sorted(users[path] - {name}):
            raise TargetExists(
                f"The file {path} belongs to the domain '{others[0]}'.", hint=f"{_OTHER_NAME}."
            )
    for base, overlay in host.overlays():
        if base in there and users[overlay] != {name}:
            raise TargetExists(
                f"The volume {overlay} builds on the file {base}.", hint=f"{_OTHER_NAME}."
            )
    for path in there:
        if files.is_open(path):
            raise TargetExists(
                f"The file {path} is in use: a QEMU has it open, here or on another host.",
                hint=f"{_OTHER_NAME}, or shut the guest down that has this disk.",
            )


def _users(host: Host, volumes: Iterable[Volume]) -> Mapping[str, set[str]]:
    """Return the names of the domains that use a file, by its path."""
    paths = {(volume.pool, volume.name): volume.path for volume in volumes}
    users = defaultdict(set)
    for domain in host.domains():
        if not (described := domain.described()):
            continue
        document = xml.parse(described)
        for source in document.iterfind("devices/disk//source"):
            named = (source.get("pool", ""), source.get("volume", ""))
            users[paths.get(named, source.get("file") or source.get("dev") or "")].add(domain.name)
        for element in ("os/kernel", "os/initrd"):
            users[document.findtext(element) or ""].add(domain.name)
    return users
