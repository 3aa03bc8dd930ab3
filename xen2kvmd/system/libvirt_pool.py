# SPDX-License-Identifier: GPL-2.0-or-later
"""A storage pool of a libvirt."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import libvirt

from xen2kvmd import xml
from xen2kvmd.model import CephPool
from xen2kvmd.system import ceph
from xen2kvmd.system.libvirt_errors import absent

BUSY = 600.0  # seconds that somebody else's work on a pool is waited for
LOOK = 1.0  # seconds between two looks at it


@dataclass(frozen=True)
class Pool:
    """A storage pool, where its volumes lie, and how many bytes are free."""

    name: str
    type: str
    path: str
    available: int
    ceph: CephPool | None = None


def look(pool: "libvirt.virStoragePool") -> Pool:
    """Refresh a pool, and tell what it is."""
    refresh(pool)
    document = xml.parse(pool.XMLDesc(), what="The pool's XML")
    return Pool(
        name=pool.name(),
        type=document.get("type", ""),
        path=document.findtext("target/path") or "",
        available=pool.info()[3],
        ceph=ceph.pool(document),
    )


def overlays(pool: "libvirt.virStoragePool") -> Iterator[tuple[str, str]]:
    """Yield, of each volume that builds on another file, that file's path and its own."""
    for volume in pool.listAllVolumes():
        with absent(libvirt.VIR_ERR_NO_STORAGE_VOL):  # any more
            document = xml.parse(volume.XMLDesc(), what="The volume's XML")
            if base := document.findtext("backingStore/path"):
                yield base, volume.path()


def refresh(pool: "libvirt.virStoragePool") -> None:
    """Let libvirt look what is in a pool; it refuses while somebody makes a volume there.

    A volume that is preallocated may take minutes. There is no code for that, only the words.
    """
    end = time.monotonic() + BUSY
    while True:
        try:
            pool.refresh()
            return
        except libvirt.libvirtError as error:
            if "asynchronous jobs" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(LOOK)
