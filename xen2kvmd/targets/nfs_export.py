# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks on an export of an NFS server, HOST:/DIR, by a libvirt pool of the type netfs.

The pool stays when the guest has come: libvirt mounts the export at each start of the host, before
it starts guests whose disks are there.
"""

import sys

from lxml import etree

from xen2kvmd import xml
from xen2kvmd.errors import TargetExists
from xen2kvmd.model import Allocation, DiskFormat, SourceDisk, Volume, export_pool
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets.pool import StoragePool
from xen2kvmd.targets.room import Span, room_of

FOLDER = "/var/lib/libvirt/netfs"  # of the mount points; QEMU's user can pass /var/lib/libvirt
UNKNOWN = sys.maxsize  # bytes free on what is not mounted


class NfsExport:
    """An export, mounted or not. Before it is, nothing of it can be seen."""

    def __init__(self, host: Host, export: str) -> None:
        """Find its pool. Raises TargetExists if another has the name that it would get."""
        self._host = host
        self._server, _, directory = export.rpartition(":/")
        self._directory = f"/{directory}"
        found = host.netfs_pool(self._server, self._directory)
        self.name = found or export_pool(export)
        if not found and host.pool_folder(self.name):
            raise TargetExists(
                f"libvirt's pool '{self.name}' is not of the export {export}.",
                hint="Make a pool for the export, and give that with --pool.",
            )
        self._pool = StoragePool(host, self.name) if found and host.pool_is_active(found) else None

    def available(self) -> int:
        return self._pool.available() if self._pool else UNKNOWN

    def store(self) -> str:
        return self._pool.store() if self._pool else f"pool '{self.name}'"

    def needed(self, disk: SourceDisk, allocation: Allocation) -> Span:
        return room_of(disk, allocation)

    def volume(
        self, *, dev: str, name: str, disk_format: DiskFormat, may_exist: bool = False
    ) -> Volume:
        if self._pool:
            return self._pool.volume(
                dev=dev, name=name, disk_format=disk_format, may_exist=may_exist
            )
        where = self._host.pool_folder(self.name) or f"{FOLDER}/{self.name}"
        return Volume(
            dev=dev, path=f"{where}/{name}", format=disk_format, pool=self.name, name=name
        )

    def make(
        self, volume: Volume, *, size: int, allocation: Allocation, cluster_size: int = 0
    ) -> None:
        StoragePool(self._host, self.name).make(
            volume, size=size, allocation=allocation, cluster_size=cluster_size
        )

    def discard(self, volume: Volume) -> None:
        StoragePool(self._host, self.name).discard(volume)

    def document(self) -> str:
        """Return the XML of its pool (formatstorage.html#network-filesystem-pool)."""
        root = etree.Element("pool", type="netfs")
        etree.SubElement(root, "name").text = self.name
        source = etree.SubElement(root, "source")
        etree.SubElement(source, "host", name=self._server)
        etree.SubElement(source, "dir", path=self._directory)
        etree.SubElement(source, "format", type="nfs")
        etree.SubElement(etree.SubElement(root, "target"), "path").text = f"{FOLDER}/{self.name}"
        return xml.serialize(root)
