# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes of a pool: libvirt's test driver has a pool `default-pool`, all in memory."""

from collections.abc import Iterator

import pytest

from xen2kvmd.errors import PoolNotFound, TargetExists
from xen2kvmd.model import Allocation, DiskFormat, Volume
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.targets.pool import StoragePool, pool_of_folder, volume_xml

POOL = "default-pool"


@pytest.fixture
def host() -> Iterator[Host]:
    with connected("test:///default") as opened:
        yield opened


def test_discard_works_twice(host: Host) -> None:
    pool = StoragePool(host, POOL)
    volume = pool.volume(dev="xvda", name="web1-vda.img", disk_format=DiskFormat.RAW)
    pool.make(volume, size=1 << 20, allocation=Allocation.SPARSE)
    assert host.volume_exists(POOL, volume.name)
    pool.discard(volume)
    assert not host.volume_exists(POOL, volume.name)
    pool.discard(volume)


def test_libvirt_tells_what_a_volume_has_taken(host: Host) -> None:
    pool = StoragePool(host, POOL)
    volume = pool.volume(dev="xvda", name="web1-vda.img", disk_format=DiskFormat.RAW)
    assert host.volume_taken(POOL, volume.name) == 0
    pool.make(volume, size=1 << 20, allocation=Allocation.PREALLOCATED)
    assert host.volume_taken(POOL, volume.name) == 1 << 20


def test_only_files_are_replaced(host: Host) -> None:
    """A block device is not renamed: better told in the plan than after the shutdown."""

    def again(pool: str) -> Volume:
        place = StoragePool(host, pool)
        return place.volume(
            dev="xvda", name="web1-vda.img", disk_format=DiskFormat.RAW, may_exist=True
        )

    old = again(POOL)
    StoragePool(host, POOL).make(old, size=1 << 20, allocation=Allocation.SPARSE)
    assert again(POOL) == old
    host.define_pool(
        "<pool type='logical'><name>vg0</name><source><name>vg0</name></source></pool>"
    )
    host.start_pool("vg0")
    host.make_volume("vg0", volume_xml(old, 1 << 20, Allocation.SPARSE, 0))
    with pytest.raises(TargetExists, match=f"'vg0' has a volume '{old.name}' already"):
        again("vg0")
    host.stop_pool("vg0")
    host.undefine_pool("vg0")


def test_discard_names_a_pool_that_is_gone(host: Host) -> None:
    volume = Volume(dev="xvda", path="/nowhere/a.img", format="raw", pool="gone", name="a.img")
    with pytest.raises(PoolNotFound, match="'gone'"):
        StoragePool(host, "gone").discard(volume)


def test_folder_of_another_host_is_the_pool_that_has_it(host: Host) -> None:
    assert host.folder_pool("/default-pool/") == POOL
    assert pool_of_folder(host, "/default-pool").available() > 0
    with pytest.raises(PoolNotFound, match="no storage pool of the folder /srv/it's") as raised:
        pool_of_folder(host, "/srv/it's")
    assert "--target '/srv/it'" in raised.value.hint
