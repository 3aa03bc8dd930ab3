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
from tests.migration.sshd import know_each_other
from tests.migration.test_far_target import URI as FAR
from tests.migration.test_undo import begin, check_nothing_left, cut_off, temporary
from tests.migration.xenhost import shell

pytestmark = pytest.mark.xdist_group("logical-pool")  # /dev is the machine's

GROUP = "xen2kvm-test-vg"
POOL = f"<pool type='logical'><name>vg</name><source><name>{GROUP}</name></source></pool>"
FREE = 2 << 30
LVM = """#!/bin/sh -e
cd STATE
case ${0##*/} in
lvremove | lvchange) [ ! -e busy ] || { echo "  Logical volume GROUP/x in use." >&2; exit 5; } ;;
esac
case ${0##*/} in
lvcreate)
  echo "$@" >>lvcreate.called
  truncate -s "$4" data
  [ ! -e old ] || tr '\\0' '\\377' </dev/zero | head -c "$(stat -c %s data)" >data
  ln -s "$(losetup --find --show data)" /dev/GROUP/"$2"
  echo "$2##uuid#/dev/sdz(0)#linear#1#$(stat -c %s data)#4194304#$(stat -c %s data)#-wi-a-----" >lvs
  ;;
lvremove)
  for path; do :; done
  losetup --detach "$(readlink -f "$path")"
  rm "$path" data lvs
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
    print(pool.available(), pool.needed(disk, Allocation.SPARSE).most)
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
    for name in ("lvcreate", "lvremove", "lvchange", "lvs", "pvs", "vgs", "vgscan", "vgchange"):
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
        'for disk in "/dev/$1"/*; do losetup --detach "$(readlink -f "$disk")" || true; done; '
        'rm -r "/dev/$1"',
        GROUP,
    )


@pytest.mark.slow
def test_logical_volume_has_its_whole_size_at_once(sandbox: Sandbox, called: Path) -> None:
    made = sandbox.python(MAKE)
    assert made.code == 0, made.err
    assert made.out == f"{FREE} {12 << 20}\n/dev/{GROUP}/web1-vda.img\n"
    size = (10 << 10) + 1  # KiB
    assert called.read_text() == f"--name web1-vda.img -L {size}K {GROUP} --yes\n"


@pytest.mark.slow
def test_logical_volume_in_use_is_waited_for(sandbox: Sandbox, called: Path) -> None:
    """Who wrote it ends a while after the connection was lost."""
    busy = called.parent / "busy"
    busy.touch()
    end = f"import os, threading; threading.Timer(3, os.unlink, ({str(busy)!r},)).start()"
    removed = sandbox.python(f"{MAKE}    {end}\n    pool.discard(volume)\n")
    assert removed.code == 0, removed.err
    assert sandbox.run("ls", f"/dev/{GROUP}").out == ""


@pytest.mark.guest
@pytest.mark.usefixtures("sshd")
def test_logical_volume_of_another_host_takes_the_disk(
    sandbox: Sandbox, called: Path, tiny: Path
) -> None:
    """What was there before does not show through; what is cut off leaves no volume."""
    before = temporary(sandbox)
    know_each_other(sandbox)
    (called.parent / "old").touch()
    options = ("--target", FAR, "--pool", "vg", "--format", "raw", "--no-start")
    job = begin(sandbox, tiny, *options)
    cut_off(sandbox, job, "copy", "kill")
    assert sandbox.run("ls", f"/dev/{GROUP}").out == ""
    check_nothing_left(sandbox, job, before)

    job = begin(sandbox, tiny, *options)
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    assert "pool='vg' volume='tiny1-vda.img'" in sandbox.run("virsh", "dumpxml", "tiny1").out
    assert sandbox.run("xen2kvm", "rollback", "--remove-target", job).code == 0
    assert sandbox.run("ls", f"/dev/{GROUP}").out == ""
