# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks as volumes of a libvirt storage pool."""

from pathlib import Path

from lxml import etree

from xen2kvmd import xml
from xen2kvmd.errors import Failed, PoolNotFound, TargetExists, Unsupported
from xen2kvmd.model import Allocation, DiskFormat, SourceDisk, Volume
from xen2kvmd.system import ceph
from xen2kvmd.system.libvirt import Host
from xen2kvmd.targets.room import Span, room_of, store_of

FILE_POOLS = ("dir", "fs", "netfs")  # libvirt(7) formatstorage: volumes are files with a format
BLOCK_POOLS = ("logical",)  # volumes are block devices: raw
CEPH_POOLS = ("rbd",)  # volumes are images in Ceph, which QEMU itself reaches: raw
EXTENT = 4 << 20  # bytes that a logical volume is made of, by default (vgcreate(8))


class StoragePool:
    """An active pool whose volumes are files or block devices of its host, or images in Ceph."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name

    def available(self) -> int:
        pool = self._host.pool(self._name)
        if pool.ceph:  # better now than after the shutdown
            self._host.key(pool.ceph)
            ceph.check_driver()
            if self._host.remote:
                ceph.check_reachable(pool.ceph)
        return pool.available

    def store(self) -> str:
        pool = self._host.pool(self._name)
        if not self._host.remote and pool.type in FILE_POOLS and Path(pool.path).is_dir():
            return store_of(Path(pool.path))
        where = f" of {self._host.name()}" if self._host.remote else ""
        return f"pool '{self._name}'{where}"

    def needed(self, disk: SourceDisk, allocation: Allocation) -> Span:
        pool = self._host.pool(self._name)
        if allocation is Allocation.PREALLOCATED and pool.ceph:
            raise Unsupported(
                f"Volumes of pool '{self._name}' are images in Ceph: they are not preallocated.",
                hint="Leave out --allocation.",
            )
        if pool.type in BLOCK_POOLS:
            whole = -(-disk.size // EXTENT) * EXTENT
            return Span(whole, whole)
        return room_of(disk, allocation)

    def volume(
        self, *, dev: str, name: str, disk_format: DiskFormat, may_exist: bool = False
    ) -> Volume:
        pool = self._host.pool(self._name)
        known = FILE_POOLS + BLOCK_POOLS + CEPH_POOLS
        if pool.type not in known:
            raise Unsupported(
                f"Pool '{self._name}' is of the type '{pool.type}': nothing can be copied there.",
                hint=f"Types that work: {', '.join(known)}.",
            )
        if pool.type not in FILE_POOLS and disk_format is not DiskFormat.RAW:
            what = "images in Ceph" if pool.ceph else "block devices"
            raise Unsupported(
                f"Volumes of pool '{self._name}' are {what}: they cannot be {disk_format}.",
                hint="Ask for the format raw.",
            )
        replaced = may_exist and pool.type in FILE_POOLS  # others are not renamed
        if not replaced and self._host.volume_exists(self._name, name):
            raise TargetExists(
                f"Pool '{self._name}' has a volume '{name}' already.",
                hint="Choose another name for the target with --name, or remove the volume: "
                + self._host.virsh("vol-delete", "--pool", self._name, name),
            )
        folder = pool.ceph.name if pool.ceph else pool.path.rstrip("/")
        return Volume(
            dev=dev,
            path=f"{folder}/{name}",
            format=disk_format,
            pool=self._name,
            name=name,
            ceph=pool.ceph,
        )

    def make(
        self, volume: Volume, *, size: int, allocation: Allocation, cluster_size: int = 0
    ) -> None:
        if self._host.pool(self._name).type in BLOCK_POOLS:
            # One that is to grow becomes a snapshot of nothing: its store overflows when filled.
            allocation = Allocation.PREALLOCATED
        path = self._host.make_volume(
            self._name,
            volume_xml(volume, size, allocation, cluster_size),
            metadata=volume.format == DiskFormat.QCOW2 and allocation is Allocation.PREALLOCATED,
        )
        if path != volume.path:
            raise Failed(f"libvirt made the volume at {path}, not at {volume.path} as planned.")

    def discard(self, volume: Volume) -> None:
        self._host.remove_volume(self._name, volume.name)


def pool_of_folder(host: Host, folder: str) -> StoragePool:
    """Return the pool that another host has a folder in: its libvirt makes the files.

    Raises PoolNotFound if there is none.
    """
    if name := host.folder_pool(folder):
        return StoragePool(host, name)
    commands = (
        host.virsh("pool-define-as", "NAME", "dir", "--target", folder),
        *(
            host.virsh(command, "NAME")
            for command in ("pool-build", "pool-start", "pool-autostart")
        ),
    )
    raise PoolNotFound(
        f"{host.name()} has no storage pool of the folder {folder}.",
        hint=f"Make one, and start it: {' && '.join(commands)}",
    )


def volume_xml(volume: Volume, size: int, allocation: Allocation, cluster_size: int) -> str:
    """Return the XML of a new volume (formatstorage.html#storage-volume-xml)."""
    root = etree.Element("volume")
    etree.SubElement(root, "name").text = volume.name
    etree.SubElement(root, "capacity", unit="bytes").text = str(size)
    taken = size if allocation is Allocation.PREALLOCATED else 0
    etree.SubElement(root, "allocation", unit="bytes").text = str(taken)
    target = etree.SubElement(root, "target")
    etree.SubElement(target, "format", type=volume.format)
    if cluster_size:
        etree.SubElement(target, "clusterSize", unit="bytes").text = str(cluster_size)
    return xml.serialize(root)
