# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk is read where the caller says, whatever the source has for its path."""

import pytest

from xen2kvmd import domain
from xen2kvmd.bus.paths import parse
from xen2kvmd.domain import DomainDisk
from xen2kvmd.errors import InvalidDisk, InvalidOption, Unsupported
from xen2kvmd.model import Finding, Severity
from xen2kvmd.sources import read_document
from xen2kvmd.steps import way

SOURCE = """
<domain type='xen'><name>web1</name><memory>1024</memory><os><type>linux</type></os><devices>
  <disk type='network' device='disk'><driver name='qemu' type='raw'/>
    <source protocol='rbd' name='vms/web1'><host name='192.0.2.5' port='6789'/></source>
    <target dev='xvda'/></disk>
  <disk type='network' device='disk'>
    <source protocol='iscsi' name='iqn.2013-07.com.example:target/1'><host name='nas'/></source>
    <target dev='xvdb'/></disk>
  <disk type='volume' device='disk'><source pool='guests' volume='web1-data'/>
    <target dev='xvdc'/></disk>
  <disk type='file' device='disk'><source file='/srv/xen/swap'/><target dev='xvdd'/></disk>
</devices></domain>
"""
XL = "name='web1'\ntype='pv'\nmemory=512\nkernel='/boot/vmlinuz'\n"


def disks() -> dict[str, DomainDisk]:
    return {disk.dev: disk for disk in domain.read(SOURCE).disks}


@pytest.mark.parametrize(
    ("item", "dev"),
    [
        ("xvda=/dev/rbd0", "xvda"),
        ("rbd:vms/web1=/dev/rbd0", "xvda"),
        ("iscsi:iqn.2013-07.com.example:target/1=/dev/sdc", "xvdb"),
        ("guests/web1-data=ssh://root@xen1/dev/vg/data", "xvdc"),
        ("xvdd=/mnt/swap", "xvdd"),
        ("/srv/xen/swap=/mnt/swap", "xvdd"),
    ],
)
def test_single_disk_is_mapped_by_its_name(item: str, dev: str) -> None:
    maps, found = parse([item]), disks()
    way.check_names(tuple(found.values()), maps)
    assert way.of_disk(found[dev], maps, host="") == (maps[0].host, maps[0].new)
    others = [disk for disk in found.values() if disk.dev not in (dev, "xvda", "xvdb", "xvdc")]
    assert all(way.of_disk(disk, maps, host="") == ("", disk.path) for disk in others)


def test_first_map_wins() -> None:
    maps = parse(["/srv=/mnt", "xvdd=/dev/swap"])
    assert way.of_disk(disks()["xvdd"], maps, host="") == ("", "/mnt/xen/swap")
    assert way.of_disk(disks()["xvdd"], maps[::-1], host="ssh://xen1") == ("", "/dev/swap")


@pytest.mark.parametrize(("dev", "name"), [("xvda", "rbd:vms/web1"), ("xvdc", "guests/web1-data")])
def test_disk_without_a_path_is_refused_with_the_way_out(dev: str, name: str) -> None:
    with pytest.raises(Unsupported, match=name) as refused:
        way.of_disk(disks()[dev], parse(["/=/"]), host="")
    assert f"--path-map {dev}=/PATH" in refused.value.hint


def test_relative_path_is_refused_with_the_way_out() -> None:
    disk = DomainDisk("xvda", "disk", "file", "web1.img", "raw", "xen")
    with pytest.raises(InvalidDisk, match="no absolute path") as refused:
        way.of_disk(disk, (), host="")
    assert "--path-map xvda=/PATH" in refused.value.hint


@pytest.mark.parametrize("name", ["xvde", "rbd:vms/web2", "guests/web1"])
def test_map_of_a_disk_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match=f"'{name}', which is no disk") as refused:
        way.check_names(tuple(disks().values()), parse([f"{name}=/x"]))
    assert "xvda (rbd:vms/web1)" in refused.value.hint


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        ("vdev=xvda,backendtype=qdisk,target=rbd:vms/web1:id=admin", "xl-disk-rbd"),
        ("drbd:web1,xvda,w", "xl-disk-script"),
    ],
)
def test_disk_of_xl_without_a_path_is_mapped(entry: str, finding: str) -> None:
    """What is told of it forbids nothing then."""
    imported = read_document("xl", f"{XL}disk=['{entry}']")
    described, maps = domain.read(imported.domain_xml).disks, parse(["xvda=/dev/x0"])
    assert way.of_disk(described[0], maps, host="") == ("", "/dev/x0")
    found = [each for each in imported.findings if each.id == finding]
    (told,) = (way.told(each, described, maps) for each in found)
    assert told.severity is Severity.INFO
    assert way.told(found[0], described, ()) == found[0]


def test_other_findings_stay() -> None:
    other = Finding("disk-lun", "Disk 'xvda'.", Severity.BLOCKER, place="disk[xvda]")
    assert way.told(other, tuple(disks().values()), parse(["xvda=/x"])) == other
