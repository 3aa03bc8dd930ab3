# SPDX-License-Identifier: GPL-2.0-or-later
"""What a document says, and what is refused."""

import pytest

from xen2kvmd import xml
from xen2kvmd.domain import check_name, convert, read, target_names
from xen2kvmd.domain.read import parse_size
from xen2kvmd.errors import InvalidName, InvalidXml, Unsupported
from xen2kvmd.model import Case, Facts, Family, Nic, Target, Volume

GUEST = """
<domain type='xen'>
  <name>web1</name><uuid>6d0c5d0e-0a11-4c11-9e0a-000000000001</uuid>
  <memory unit='GiB'>2</memory><vcpu>3</vcpu><bootloader>pygrub</bootloader>
  <os><type>linux</type><kernel>/k</kernel><initrd>/i</initrd><cmdline>root=/dev/xvda1</cmdline></os>
  <devices>{devices}</devices>
</domain>
"""


def guest(*disks: str, more: str = "") -> str:
    return GUEST.format(devices="".join(disks) + more)


def disk(dev: str, bus: str = "xen", path: str = "", **words: str) -> str:
    attributes = "".join(f" {name}='{value}'" for name, value in words.items())
    source = f"<source file='{path or f'/{dev}.img'}'/>"
    return f"<disk type='file'{attributes}>{source}<target dev='{dev}' bus='{bus}'/></disk>"


def names(*disks: str, virtio: bool = True) -> dict[str, str]:
    return dict(target_names(xml.parse(guest(*disks)), virtio=virtio))


def test_everything_is_read() -> None:
    nic = "<interface type='bridge'><mac address='00:16:3e:00:00:01'/><source bridge='br0'/>"
    source = read(guest(disk("xvda"), more=f"{nic}</interface>"))
    assert (source.name, source.memory, source.vcpus) == ("web1", 2 << 30, 3)
    assert (source.kernel, source.initrd, source.cmdline) == ("/k", "/i", "root=/dev/xvda1")
    assert source.kind == "linux"
    assert source.nics == (Nic("00:16:3e:00:00:01", "bridge", "br0"),)
    (found,) = source.disks
    assert (found.dev, found.path, found.format, found.bus) == ("xvda", "/xvda.img", "raw", "xen")


@pytest.mark.parametrize(
    ("system", "uefi"),
    [
        ("<os><type>hvm</type></os>", False),
        ("<os><type>hvm</type><loader>/usr/lib/xen/boot/hvmloader</loader></os>", False),
        ("<os><type>hvm</type><loader type='pflash'>/usr/lib/xen/fw.bin</loader></os>", True),
        ("<os><type>hvm</type><loader>/usr/lib/xen/boot/ovmf.bin</loader></os>", True),
        ("<os firmware='efi'><type>hvm</type></os>", True),
        ("<os firmware='bios'><type>hvm</type></os>", False),
    ],
)
def test_firmware_is_what_the_document_says(system: str, *, uefi: bool) -> None:
    old = "<os><type>linux</type><kernel>/k</kernel><initrd>/i</initrd>"
    document = guest(disk("xvda")).replace(f"{old}<cmdline>root=/dev/xvda1</cmdline></os>", system)
    assert read(document).uefi is uefi


@pytest.mark.parametrize(
    ("noted", "name"),
    [
        ("http://debian.org/debian/12", "debian12"),
        ("http://microsoft.com/win/2k12r2", "win2k12r2"),
        ("http://redhat.com/rhel/8.4/", "rhel8.4"),
        ("", ""),
        ("nonsense", ""),
        ("http://[x", ""),
    ],
)
def test_system_is_what_libosinfo_was_told(noted: str, name: str) -> None:
    space = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
    metadata = (
        f"<metadata><l:libosinfo xmlns:l='{space}'><l:os id='{noted}'/></l:libosinfo></metadata>"
    )
    document = guest().replace("<devices>", f"{metadata}<devices>")
    assert read(document).os == name


def test_nics_without_an_address_get_their_own_and_keep_it() -> None:
    nic = "<interface type='bridge'><source bridge='br0'/></interface>"
    document = guest(more=nic * 2)

    first, second = read(document).nics

    assert first.mac != second.mac
    assert first.mac.startswith("00:16:3e:")
    assert len(first.mac) == 17
    assert (first, second) == read(document).nics
    converted = xml.parse(convert(document, Case(target=Target(name="other"))).domain_xml)
    assert converted.xpath("devices/interface/mac/@address") == [first.mac, second.mac]
    assert read(document.replace("000000000001", "000000000002")).nics[0].mac != first.mac


def test_names_follow_the_letters_without_gaps() -> None:
    assert names(disk("xvde"), disk("xvda")) == {"xvda": "vda", "xvde": "vdb"}


def test_whole_disks_that_look_like_partitions() -> None:
    assert names(disk("xvda2"), disk("xvda1")) == {"xvda1": "vda", "xvda2": "vdb"}


def test_mixed_buses_keep_the_order_of_letters() -> None:
    mixed = names(disk("hda", "ide"), disk("xvdb"), disk("sdc", "scsi"))
    assert mixed == {"hda": "vda", "xvdb": "vdb", "sdc": "vdc"}


@pytest.mark.parametrize("virtio", [True, False])
def test_each_disk_is_its_copy_whatever_its_bus(*, virtio: bool) -> None:
    """Else the new guest would write into the source's image."""
    given = (("vda", "virtio"), ("xvdb", "xen"), ("sda", "scsi"), ("sdb", "sata"), ("sdc", "usb"))
    volumes = tuple(Volume(dev, f"/new/{dev}", "qcow2", name=dev) for dev, _ in given)
    facts = Facts(family=Family.WINDOWS, drivers=virtio)
    case = Case(target=Target(volumes=volumes), facts=facts)
    converted = convert(guest(*(disk(dev, bus) for dev, bus in given)), case).domain_xml
    assert all(f"<source file='/new/{dev}'/>" in converted.replace('"', "'") for dev, _ in given)
    assert ".img" not in converted
    with pytest.raises(Unsupported, match="would not get the copy of disk 'xvdz'"):
        convert(guest(disk("xvda")), Case(target=Target(volumes=(Volume("xvdz", "/z", "raw"),))))


def test_without_virtio_disks_come_before_cdroms_on_sata() -> None:
    drives = (disk("hdc", "ide", device="cdrom"), disk("hda", "ide"), disk("hdd", "ide"))
    assert names(*drives, virtio=False) == {"hda": "sda", "hdd": "sdb"}


def test_twins_have_one_name_and_are_read_once() -> None:
    twins = (disk("hda", "ide", "/root.img"), disk("xvda", "xen", "/root.img"))
    assert names(*twins) == {"hda": "vda", "xvda": "vda"}
    assert [found.dev for found in read(guest(*twins)).disks] == ["hda"]


def test_many_disks_go_on_after_z() -> None:
    many = names(*(disk(f"xvd{letter}") for letter in "abcdefghijklmnopqrstuvwxyz"), disk("xvdaa"))
    assert many["xvdz"] == "vdz"
    assert many["xvdaa"] == "vdaa"


def test_disks_of_kvms_own_buses_keep_their_names() -> None:
    kept = names(disk("vda", "virtio"), disk("sda", "usb"), disk("xvdb"))
    assert kept == {"vda": "vda", "sda": "sda", "xvdb": "vdb"}


@pytest.mark.parametrize(
    ("value", "unit", "size"),
    [
        ("2", "GiB", 2 << 30),
        ("2", "G", 2 << 30),
        ("2", "GB", 2 * 10**9),
        ("5", "KiB", 5120),
        ("5", "k", 5120),
        ("7", "bytes", 7),
        ("7", "b", 7),
        (" 7 ", "mib", 7 << 20),
        ("1", "EiB", 1 << 60),
    ],
)
def test_units_are_libvirts(value: str, unit: str, size: int) -> None:
    assert parse_size(value, unit, what="<memory>") == size


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("2", "GiBs"),
        ("2", ""),
        ("-2", "GiB"),
        ("2.5", "GiB"),
        ("", "GiB"),
        ("٢", "GiB"),
        ("2", "B2"),
    ],
)
def test_broken_sizes_are_refused(value: str, unit: str) -> None:
    with pytest.raises(InvalidXml, match="no size"):
        parse_size(value, unit, what="<memory>")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<domain type='kvm'><name>a</name></domain>", "no Xen guest"),
        ("<network/>", "no Xen guest"),
        (guest(disk("xvda"), disk("xvda", path="/b")), "Two disks"),
        (guest(disk("xvda", "floppy")), "bus 'floppy'"),
        (guest(disk("foo")), "target name 'foo'"),
        (guest("<disk type='file'/>"), "no <target dev>"),
        (guest().replace("GiB", "furlong"), "no size"),
        (guest().replace(">2<", "><"), "no size"),
        (guest().replace(">2<", ">0<"), "no memory"),
        (guest().replace(">3<", ">three<"), "number of CPUs"),
        (guest().replace(">3<", ">" + "3" * 5000 + "<"), "number of CPUs"),
        ("not XML", "not XML"),
        ("<!DOCTYPE a [<!ENTITY e 'x'>]><domain type='xen'>&e;</domain>", "DOCTYPE"),
        ("<a>" * 100_000, "not XML"),
    ],
)
def test_bad_documents_are_refused(document: str, message: str) -> None:
    with pytest.raises(InvalidXml, match=message) as caught:
        convert(document, Case())
    assert caught.value.hint


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", "a\tb", "\x7f", "..", ".", "x" * 300])
def test_names_that_libvirt_refuses(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name)
    with pytest.raises(InvalidName):
        convert(guest(), Case(target=Target(name=name or " ")))


@pytest.mark.parametrize("name", ["web1", "Wéb 1", ".hidden", "-a", "x" * 200, "a;'\"<&>"])
def test_names_that_libvirt_takes(name: str) -> None:
    assert check_name(name) == name
    domain = xml.parse(convert(guest(), Case(target=Target(name=name))).domain_xml)
    assert domain.findtext("name") == name
