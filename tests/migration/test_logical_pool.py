# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes of a pool of the type logical, made by libvirt's own storage driver.

The kernel of a machine that runs tests may have no device-mapper: LVM's programs are one of ours,
which writes down how it is called, and makes a loop device of the size that lvcreate(8) would. All
else is what a host with LVM runs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.xenhost import shell

pytestmark = pytest.mark.slow

GROUP = "xen2kvm-test-vg"
POOL = f"<pool type='logical'><name>vg</name><source><name>{GROUP}</name></source></pool>"
FREE = 40 << 20
LVM = """#!/bin/sh -e
cd STATE
case ${0##*/} in
lvcreate)
  echo "$@" >>lvcreate.called
  truncate -s "$4" data
  ln -s "$(losetup --find --show data)" /dev/GROUP/"$2"
  echo "$2##uuid#/dev/sdz(0)#linear#1#$(stat -c %s data)#4194304#$(stat -c %s data)#-wi-a-----" >lvs
  ;;
lvs) [ ! -e lvs ] || cat lvs ;;
pvs) echo "/dev/sdz GROUP" ;;
vgs) echo "FREE:FREE" ;;
esac
"""
MAKE = """
from xen2kvmd.model import Allocation, DiskFormat, SourceDisk
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import StoragePool
with connected() as host:
    pool = StoragePool(host, "vg")
    disk = SourceDisk("xvda", "/xvda", "raw", (10 << 20) + 512, 1 << 20)
    print(pool.available(), pool.needed(disk, Allocation.SPARSE))
    volume = pool.volume(dev="xvda", name="web1-vda.img", disk_format=DiskFormat.RAW)
    pool.make(volume, size=disk.size, allocation=Allocation.SPARSE)
    print(volume.path)
"""


@pytest.fixture
def called(sandbox: Sandbox, tmp_path: Path) -> Iterator[Path]:
    """A pool on a volume group, in the sandbox alone; how lvcreate was called for it."""
    for folder in ("sbin", "state"):
        (tmp_path / folder).mkdir()
    program = LVM.replace("STATE", f"{tmp_path}/state").replace("GROUP", GROUP)
    for name in ("lvcreate", "lvs", "pvs", "vgs", "vgscan", "vgchange"):
        (tmp_path / "sbin" / name).write_text(program.replace("FREE", str(FREE)))
        (tmp_path / "sbin" / name).chmod(0o755)
    (tmp_path / "pool.xml").write_text(POOL)
    shell(
        sandbox,
        'mkdir "/dev/$1"; mount -t overlay -o "lowerdir=$2/sbin:/usr/sbin" overlay /usr/sbin && '
        'virsh pool-define "$2/pool.xml" && virsh pool-start vg',
        GROUP,
        str(tmp_path),
    )
    yield tmp_path / "state/lvcreate.called"
    shell(
        sandbox,
        "virsh pool-destroy vg; virsh pool-undefine vg; umount --lazy /usr/sbin; "
        'losetup --detach "$(readlink -f "/dev/$1"/*)"; rm -r "/dev/$1"',
        GROUP,
    )


def test_logical_volume_has_its_whole_size_at_once(sandbox: Sandbox, called: Path) -> None:
    made = sandbox.python(MAKE)
    assert made.code == 0, made.err
    assert made.out == f"{FREE} {12 << 20}\n/dev/{GROUP}/web1-vda.img\n"
    size = (10 << 10) + 1  # KiB
    assert called.read_text() == f"--name web1-vda.img -L {size}K {GROUP} --yes\n"
