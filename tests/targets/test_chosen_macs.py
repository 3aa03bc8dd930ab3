# SPDX-License-Identifier: GPL-2.0-or-later
"""A NIC without a MAC address gets one that no other guest of this name gets."""

from dataclasses import replace
from pathlib import Path

import pytest

from xen2kvmd import plan
from xen2kvmd.model import Backing, Facts, Operation, Part, Request, SourceDisk
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import Directory

NIC = "<interface type='bridge'>{}<source bridge='xenbr0'/></interface>"
DOCUMENT = (
    "<domain type='xen'><name>web1</name>{}<memory>1024</memory><os><type>linux</type></os>"
    "<devices><disk type='block'><source dev='/dev/vg/web1'/><target dev='xvda'/></disk>"
    "{}</devices></domain>"
)
DISK = SourceDisk("xvda", "/dev/vg/web1", "raw", 1 << 20, 1 << 20, "ssh://root@xen1:22")
ELSEWHERE = [
    replace(DISK, host="ssh://root@xen2:22"),
    replace(DISK, host=""),
    replace(DISK, path="/dev/other/web1"),
    replace(DISK, path="", parts=(Part("xvda1", "/dev/vg/web1-root", 1, 1 << 20, 1 << 20),)),
]


def chosen(disk: SourceDisk, folder: Path, *, uuid: str = "", mac: str = "") -> str:
    """Return the address of the guest's NIC in the new domain's plan."""
    with connected("test:///default") as host:
        inputs = plan.Inputs(
            Request(Operation.PLAN, "libvirtxml:/x"),
            DOCUMENT.format(uuid, NIC.format(mac)),
            disks=[disk],
            host=host,
        )
        places = {"xvda": Directory(str(folder))}
        facts = Facts(arch="i686")  # that of libvirt's test driver
        case = plan.make_case(inputs, facts=facts, places=places, kvm=False, agent=False)
    return case.nics[0].mac


@pytest.mark.parametrize("other", ELSEWHERE, ids=["host", "here", "path", "parts"])
def test_guest_of_the_same_name_elsewhere_gets_another(other: SourceDisk, tmp_path: Path) -> None:
    first = chosen(DISK, tmp_path)

    assert first.startswith("00:16:3e:")
    assert chosen(other, tmp_path) != first


def test_same_guest_gets_the_same_each_time(tmp_path: Path) -> None:
    written = replace(DISK, allocated=0, size=2 << 20, snapshots=("before",))
    over = replace(DISK, path="/srv/web1.snapshot", backing=(Backing(DISK.path, DISK.format),))

    assert {chosen(disk, tmp_path) for disk in (DISK, written, over)} == {chosen(DISK, tmp_path)}


def test_guest_with_a_uuid_is_known_by_that(tmp_path: Path) -> None:
    uuid = "<uuid>4d7a3a4e-6d3b-4d39-8f3e-1c2a5b6c7d8e</uuid>"

    assert chosen(DISK, tmp_path, uuid=uuid) == chosen(ELSEWHERE[0], tmp_path, uuid=uuid)


def test_address_that_the_source_gives_stays(tmp_path: Path) -> None:
    assert chosen(DISK, tmp_path, mac="<mac address='00:16:3e:01:02:03'/>") == "00:16:3e:01:02:03"
