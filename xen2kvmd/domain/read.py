# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a Xen guest's domain XML: what is in it, and whether it makes sense."""

import hashlib
import re
from dataclasses import dataclass

from xen2kvmd import xml
from xen2kvmd.domain.names import disk_bus, parse_name, twins
from xen2kvmd.domain.tree import brief, target_dev, text
from xen2kvmd.errors import InvalidName, InvalidXml
from xen2kvmd.model import Nic
from xen2kvmd.xml import Element

_BUSES = frozenset("ide fdc scsi virtio xen usb sata sd uml none".split())
_UNIT = re.compile(r"bytes?|b|([kmgtpe])(ib|b)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LIBOSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
_MAX_NAME = 200  # libvirt writes NAME.xml, NAME.log, NAME.monitor: a file name has 255 bytes


@dataclass(frozen=True)
class DomainDisk:
    """A <disk> of the source, with libvirt's defaults filled in.

    path is the file or block device; for a network disk or a volume of a pool "POOL/VOLUME" or
    "PROTOCOL:NAME", and for an empty drive "". format is what the document says, or raw: Xen's
    default, and nothing is ever probed.
    """

    dev: str
    device: str  # disk, cdrom, floppy, lun
    type: str  # file, block, network, volume, ...
    path: str
    format: str
    bus: str


@dataclass(frozen=True)
class SourceDomain:
    """A Xen guest as its domain XML describes it; memory is in bytes.

    A disk that is there twice, by its emulated and by its PV name, is listed once.
    """

    name: str
    uuid: str
    memory: int
    vcpus: int
    kind: str  # the os type: linux (PV), xenpvh, hvm
    disks: tuple[DomainDisk, ...] = ()
    nics: tuple[Nic, ...] = ()
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    os: str = ""  # as libosinfo calls it: debian12
    uefi: bool = False  # Xen starts it by OVMF


def read(document: str | bytes, *, origin: str = "") -> SourceDomain:
    """Read a domain XML. Raises InvalidXml or InvalidName for one that cannot be migrated.

    origin is where the guest's disks are, as far as that tells it from others of its name.
    """
    return read_tree(xml.parse(document), origin=origin)


def read_tree(domain: Element, *, origin: str = "") -> SourceDomain:
    """Read a domain XML that is parsed already."""
    check_xen(domain)
    return SourceDomain(
        name=check_name(domain.findtext("name") or ""),
        uuid=text(domain, "uuid"),
        memory=_memory(domain),
        vcpus=_vcpus(domain),
        kind=text(domain, "os/type") or "linux",
        disks=_disks(domain),
        nics=read_nics(domain, origin=origin),
        kernel=text(domain, "os/kernel"),
        initrd=text(domain, "os/initrd"),
        cmdline=_cmdline(domain),
        os=_os(domain),
        uefi=is_uefi(domain),
    )


def is_uefi(domain: Element) -> bool:
    """Tell whether UEFI firmware starts a guest: libvirt chose it, or its file says so."""
    system, loader = domain.find("os"), domain.find("os/loader")
    chosen = system is not None and system.get("firmware") == "efi"
    pflash = loader is not None and loader.get("type") == "pflash"
    return chosen or pflash or "ovmf" in text(domain, "os/loader").lower()


def _os(domain: Element) -> str:
    """Return the short name of the system that whoever made the guest has noted, "" for none.

    The id ends with name and version: http://debian.org/debian/12. Short names in libosinfo's own
    database differ for some, but that would have to be installed.
    """
    noted = domain.find(f"metadata/{{{_LIBOSINFO}}}libosinfo/{{{_LIBOSINFO}}}os")
    _, _, address = ("" if noted is None else noted.get("id", "")).partition("://")
    _, *path = address.strip("/").split("/")
    return "".join(path[-2:])


def _cmdline(domain: Element) -> str:
    """Return the kernel's arguments; Xen's own <root>, a device and its options, is one of them."""
    root, rest = text(domain, "os/root"), text(domain, "os/cmdline")
    return f"root={root} {rest}".strip() if root and "root=" not in rest else rest


def check_xen(domain: Element) -> None:
    """Refuse what is not the domain XML of a Xen guest."""
    kind = domain.get("type")
    if domain.tag == "domain" and kind == "xen":
        return
    found = f"<domain type='{kind}'>" if domain.tag == "domain" else brief(domain)
    raise InvalidXml(
        f"This is no Xen guest: the document is {found}, not <domain type='xen'>.",
        hint="Give what 'virsh -c xen:///system dumpxml GUEST' prints on the Xen host.",
    )


def check_name(name: str) -> str:
    """Return a name that libvirt's QEMU driver takes for a domain, or raise InvalidName."""
    hint = "Choose another name for the target with --name."
    if not name.strip():
        raise InvalidName("The domain has no name.", hint=hint)
    if "/" in name:
        raise InvalidName(f"The name {name!r} contains '/', which libvirt refuses.", hint=hint)
    if _CONTROL.search(name):
        raise InvalidName(f"The name {name!r} contains a control character.", hint=hint)
    if name in (".", ".."):
        raise InvalidName(f"The name {name!r} cannot be that of a file.", hint=hint)
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME:
        raise InvalidName(f"The name {name[:20]!r}… is longer than {_MAX_NAME} bytes.", hint=hint)
    return name


def parse_size(value: str, unit: str, *, what: str) -> int:
    """Read a size in libvirt's units (KiB, MiB, MB, G, bytes) as bytes."""
    number = value.strip()
    match = _UNIT.fullmatch(unit.strip())
    if match and number.isascii() and number.isdigit() and len(number) < 20:
        base = 1000 if (match[2] or "").lower() == "b" else 1024
        power = "kmgtpe".index(match[1].lower()) + 1 if match[1] else 0
        return int(number) * int(base**power)
    raise InvalidXml(
        f"{what} is {value.strip()!r} in the unit {unit!r}, which is no size.",
        hint="libvirt's units are b, KB, KiB, MB, MiB, GB, GiB, TB, TiB; k is KiB, M is MiB.",
    )


def _memory(domain: Element) -> int:
    memory = domain.find("memory")
    if memory is None:
        raise InvalidXml("The domain XML has no <memory>.", hint="Add it, as 'virsh dumpxml' does.")
    for name in ("currentMemory", "maxMemory"):
        other = domain.find(name)
        if other is not None:
            parse_size(other.text or "", other.get("unit", "KiB"), what=f"<{name}>")
    size = parse_size(memory.text or "", memory.get("unit", "KiB"), what="<memory>")
    if not size:
        raise InvalidXml("The guest has no memory: <memory> is 0.", hint="Correct the domain XML.")
    return size


def _vcpus(domain: Element) -> int:
    count = text(domain, "vcpu") or "1"
    if not re.fullmatch("[0-9]{1,9}", count) or not 0 < int(count) <= 8192:
        raise InvalidXml(f"<vcpu> is {count[:20]!r}, not a number of CPUs.", hint="Correct it.")
    return int(count)


def _disks(domain: Element) -> tuple[DomainDisk, ...]:
    seen: set[str] = set()
    second = {}
    for disk in domain.iterfind("devices/disk"):
        dev = _target(disk)
        if dev in seen:
            raise InvalidXml(
                f"Two disks have the target name '{dev}'.",
                hint="Give each <disk> its own <target dev>; which one the guest saw is unknown.",
            )
        seen.add(dev)
        if disk_bus(disk) not in _BUSES:
            raise InvalidXml(
                f"Disk '{dev}' is on the bus {disk_bus(disk)!r}, which libvirt does not know.",
                hint="Xen's buses are xen, ide, scsi, usb and fdc.",
            )
        second[dev] = disk
    for twin in twins(domain):
        del second[twin]
    return tuple(_disk(dev, disk) for dev, disk in second.items())


def _target(disk: Element) -> str:
    dev = target_dev(disk)
    if not dev:
        raise InvalidXml(
            "A <disk> has no <target dev>.", hint="Give it the name that it has in the guest."
        )
    parse_name(dev)
    return dev


def _disk(dev: str, disk: Element) -> DomainDisk:
    driver = disk.find("driver")
    kind = disk.get("type", "file")
    source = disk.find("source")
    return DomainDisk(
        dev=dev,
        device=disk.get("device", "disk"),
        type=kind,
        path="" if source is None else _path(source),
        format=disk_format("" if driver is None else driver.get("type", "")),
        bus=disk_bus(disk),
    )


def disk_format(xen: str) -> str:
    """QEMU's name of a disk format of Xen: aio is how tap reads raw, vhd is vpc."""
    return {"": "raw", "aio": "raw", "vhd": "vpc"}.get(xen, xen)


def _path(source: Element) -> str:
    plain = source.get("file") or source.get("dev") or source.get("dir")
    if plain:
        return plain
    if source.get("pool"):
        return f"{source.get('pool')}/{source.get('volume', '')}"
    if source.get("protocol"):
        return f"{source.get('protocol')}:{source.get('name', '')}"
    return ""


def read_nics(domain: Element, *, origin: str = "") -> tuple[Nic, ...]:
    """The NICs, in the order in which the guest has them."""
    guest = text(domain, "uuid").lower() or text(domain, "name") + origin
    return tuple(
        Nic(_mac(nic) or _chosen_mac(guest, number), *link_of(nic))
        for number, nic in enumerate(domain.iterfind("devices/interface"))
    )


def link_of(nic: Element) -> tuple[str, str]:
    """What a NIC is connected to: its kind (bridge, network, ...) and the name there."""
    kind, source = nic.get("type", ""), nic.find("source")
    names = {} if source is None else dict(source.attrib)
    return kind, str(names.get(kind) or names.get("dev") or "")


def _mac(nic: Element) -> str:
    mac = nic.find("mac")
    return "" if mac is None else mac.get("address", "")


def _chosen_mac(guest: str, number: int) -> str:
    """An address for a NIC without one: xl makes one up at each start, in Xen's range.

    Always the same for this guest, so that plan, domain and the guest's own rules agree; another
    for one of its name elsewhere (xl-network-configuration(5), mac).
    """
    tail = hashlib.sha256(f"{guest}/{number}".encode("utf-8", "surrogatepass")).digest()[:3]
    return f"00:16:3e:{tail.hex(':')}"
