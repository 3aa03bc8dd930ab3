# SPDX-License-Identifier: GPL-2.0-or-later
"""A storage pool of a libvirt."""

import posixpath
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import libvirt

from xen2kvmd import xml
from xen2kvmd.errors import PoolNotFound
from xen2kvmd.model import CephPool
from xen2kvmd.system import ceph
from xen2kvmd.system.heartbeat import GONE
from xen2kvmd.system.libvirt_errors import absent, translated

BUSY = 600.0  # seconds that somebody else's work on a pool is waited for
LOOK = 1.0  # seconds between two looks at it
FILES = (
    libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_DIR
    | libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_FS
    | libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_NETFS
)
IMAGES = "/var/lib/libvirt/images"  # where libvirt's own tools have the pool "default"
IN_USE = (" in use", " busy")  # LVM of a volume; umount(8), and Ceph


@dataclass(frozen=True)
class Pool:
    """A storage pool, where its volumes lie, and how many bytes are free."""

    name: str
    type: str
    path: str
    available: int
    ceph: CephPool | None = None


def active(
    connection: "libvirt.virConnect", name: str, virsh: Callable[..., str]
) -> "libvirt.virStoragePool":
    """Look an active pool up; virsh gives the commands for a hint. Raises PoolNotFound."""
    start = (virsh("pool-start", name), virsh("pool-autostart", name))
    with absent(libvirt.VIR_ERR_NO_STORAGE_POOL):
        found = connection.storagePoolLookupByName(name)
        if found.isActive():
            return found
        raise PoolNotFound(
            f"Storage pool '{name}' is not active.",
            hint=f"Start it, now and with its host: {' && '.join(start)}",
        )
    folder = IMAGES if name == "default" else "FOLDER"
    define = ("pool-define-as", name, "dir", "--target", folder)
    known = ", ".join(sorted(pool.name() for pool in connection.listAllStoragePools()))
    raise PoolNotFound(
        f"There is no storage pool '{name}'.",
        hint=f"Pools that are there: {known or 'none'}. Name one of these, or make this one: "
        + " && ".join((virsh(*define), virsh("pool-build", name), *start)),
    )


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


def of_export(connection: "libvirt.virConnect", server: str, directory: str) -> str:
    """Return the name of the pool that has a server's export, "" for none."""
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_NETFS):
        source = xml.parse(pool.XMLDesc(), what="The pool's XML").find("source")
        if source is not None and (host := source.find("host")) is not None:
            path = source.find("dir")
            where = "" if path is None else (path.get("path") or "").rstrip("/")
            if (host.get("name"), where) == (server, directory.rstrip("/")):
                return str(pool.name())
    return ""


def of_folder(connection: "libvirt.virConnect", folder: str) -> str:
    """Return the name of the pool whose volumes are files in a folder, "" for none."""
    for pool in connection.listAllStoragePools(FILES):
        where = xml.parse(pool.XMLDesc(), what="The pool's XML").findtext("target/path") or ""
        if where and posixpath.normpath(where) == posixpath.normpath(folder):
            return str(pool.name())
    return ""


def overlays(pool: "libvirt.virStoragePool") -> Iterator[tuple[str, str]]:
    """Yield, of each volume that builds on another file, that file's path and its own."""
    for volume in pool.listAllVolumes():
        with absent(libvirt.VIR_ERR_NO_STORAGE_VOL):  # any more
            document = xml.parse(volume.XMLDesc(), what="The volume's XML")
            if base := document.findtext("backingStore/path"):
                yield base, volume.path()


def refresh(pool: "libvirt.virStoragePool") -> None:
    """Let libvirt look what is in a pool; it refuses while somebody makes a volume there.

    A volume that is preallocated may take minutes.
    """
    _again(pool.refresh, while_said=("asynchronous jobs",), seconds=BUSY)


def released(remove: Callable[[], object]) -> None:
    """Remove a volume, or stop a pool, when nobody has it open any more.

    Who wrote there ends some time after us, where our host or the network was gone.
    """
    _again(remove, while_said=IN_USE, seconds=GONE)


def _again(work: Callable[[], object], *, while_said: Collection[str], seconds: float) -> None:
    """Do the work; repeat it while libvirt refuses it in these words, for which it has no codes."""
    end = time.monotonic() + seconds
    while True:
        try:
            work()
            return
        except libvirt.libvirtError as error:
            said = any(words in str(error) for words in while_said)
            if not said or time.monotonic() > end:
                raise
        time.sleep(LOOK)


def key_of(connection: "libvirt.virConnect", pool: CephPool) -> bytes:
    """Return the key of a pool's user, which is a secret of libvirt's. Raises Failed."""
    with translated(
        f"libvirt does not give the key of Ceph's user '{pool.user}'",
        hint="Its secret must have a value, and not be private: virsh secret-dumpxml "
        f"{pool.secret_uuid or 'UUID'}.",
    ):
        if pool.secret_uuid:
            secret = connection.secretLookupByUUIDString(pool.secret_uuid)
        else:
            usage = libvirt.VIR_SECRET_USAGE_TYPE_CEPH
            secret = connection.secretLookupByUsage(usage, pool.secret_usage)
        return bytes(secret.value())
