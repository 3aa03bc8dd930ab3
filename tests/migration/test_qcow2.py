# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of qcow2 is what the new guest's disk is, in a pool and in a folder."""

import json
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.test_undo import begin, show
from xen2kvmd.cli.exits import EX_USAGE

pytestmark = pytest.mark.guest


@pytest.mark.parametrize("place", ["pool", "directory"])
def test_disk_has_its_clusters_and_is_compressed(sandbox: Sandbox, tiny: Path, place: str) -> None:
    folder = "/var/lib/libvirt/images" if place == "pool" else "/var/lib/libvirt/other"
    sandbox.run("mkdir", "-p", folder)
    options = ("--compress", "--cluster-size", "32K", "--rate-limit", "500M")
    where = () if place == "pool" else ("--directory", folder)
    job = begin(sandbox, tiny, *options, *where)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    assert "login prompt" in show(sandbox, job)["Result"]["boot"]
    disk = f"{folder}/tiny1-vda.qcow2"
    info = json.loads(sandbox.run("qemu-img", "info", "-U", "--output=json", disk).out)
    assert info["cluster-size"] == 32768
    sandbox.run("virsh", "destroy", "tiny1")
    checked = json.loads(sandbox.run("qemu-img", "check", "--output=json", disk).out)
    assert checked["compressed-clusters"] > 100  # most of its disk is noise


# libvirt makes whole KiB of half a one.
MAKE = """
from xen2kvmd.model import Allocation, DiskFormat
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets.pool import StoragePool

with connected() as host:
    pool = StoragePool(host, "default")
    volume = pool.volume(dev="xvda", name="whole.qcow2", disk_format=DiskFormat.QCOW2)
    pool.make(volume, size=(16 << 20) + 512, allocation=Allocation.PREALLOCATED)
    print(volume.path)
"""


def test_preallocated_volume_of_a_pool_takes_its_size(sandbox: Sandbox) -> None:
    made = sandbox.python(MAKE)
    assert made.code == 0, made.err
    info = sandbox.json("qemu-img", "info", "--output=json", made.out.strip())
    assert info["format"] == "qcow2"
    assert info["actual-size"] >= info["virtual-size"] > 16 << 20


def test_what_has_no_clusters_is_refused(sandbox: Sandbox, tiny: Path) -> None:
    job = begin(sandbox, tiny, "--format", "raw", "--compress")
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == EX_USAGE
    assert "are not compressed" in followed.out
