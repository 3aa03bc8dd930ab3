# SPDX-License-Identifier: GPL-2.0-or-later
"""What each disk is called under KVM.

A guest names its virtio disks in the order in which it finds them: the n-th is vd<n>, whatever
libvirt's <target dev> says. A gap (xvda, xvde) cannot be kept, so the names are given in the order
of the *real* names, without gaps, and both the domain XML and the guest's own files use these:
xvda, xvde become vda, vdb. libvirt puts virtio disks on the PCI bus in the order of their target
names, so domain and guest agree.

Order is by letter first: in a guest with PV drivers, hda is what the kernel calls xvda, so
hda, xvdb, sdc keep their order whatever their buses are. xvda1 and xvda2, whole disks that only
look like partitions (xen-tools makes such guests), become vda and vdb.
"""

import re
from dataclasses import dataclass

from xen2kvmd.domain.tree import target_dev
from xen2kvmd.errors import InvalidXml
from xen2kvmd.words import letters
from xen2kvmd.xml import Element

BUSES = {"xvd": "xen", "hd": "ide", "sd": "scsi", "vd": "virtio", "fd": "fdc", "ubd": "uml"}
XEN_BUSES = frozenset({"xen", "ide", "scsi"})  # what Xen's device model or backends offer
_PREFIXES = tuple(BUSES)
_NAME = re.compile(r"(?:ioemu:)?(xvd|hd|sd|vd|fd|ubd)([a-z]{1,4})([0-9]{0,3})")


@dataclass(frozen=True)
class TargetName:
    """A disk's <target dev> under Xen, and its bus and <target dev> under KVM."""

    xen_dev: str
    bus: str
    kvm_dev: str


@dataclass(frozen=True)
class _Disk:
    """What decides a disk's bus and name under KVM."""

    dev: str
    device: str
    bus: str
    order: tuple[int, int, int]


def target_names(domain: Element, *, virtio: bool) -> tuple[tuple[str, str], ...]:
    """Pair the name of each hard disk under Xen with its name under KVM.

    CD-ROMs and floppies are not among them: a guest calls them sr0 and fd0 on either side. A disk
    that is there twice, by its emulated and by its PV name, has one name under KVM.
    """
    hard = {disk.dev for disk in _disks(domain) if disk.device in ("disk", "lun")}
    given = names_under_kvm(domain, virtio=virtio)
    names = {name.xen_dev: name.kvm_dev for name in given if name.xen_dev in hard}
    second = {dev: names[first] for dev, first in twins(domain).items()}
    return tuple((names | second).items())


def names_under_kvm(domain: Element, *, virtio: bool) -> tuple[TargetName, ...]:
    """Give each disk, CD-ROM and floppy a name under KVM, in the order of their real names.

    A disk that is already on a bus of KVM's keeps its name: deciding twice decides the same.
    """
    second = twins(domain)
    disks = [disk for disk in _disks(domain) if disk.dev not in second]
    kept = [disk for disk in disks if _kept(disk)]
    taken = {disk.dev for disk in kept}
    given = [TargetName(disk.dev, disk.bus, disk.dev) for disk in kept]
    # Hard disks first: a guest without virtio counts the CD-ROMs on the same SATA controller.
    for disk in sorted(disks, key=lambda disk: (disk.device != "disk", disk.order)):
        if not _kept(disk):
            bus = _bus(disk, virtio=virtio)
            dev = _free("vd" if bus == "virtio" else "fd" if bus == "fdc" else "sd", taken)
            taken.add(dev)
            given.append(TargetName(disk.dev, bus, dev))
    position = {disk.dev: disk.order for disk in disks}
    return tuple(sorted(given, key=lambda name: position[name.xen_dev]))


def twins(domain: Element) -> dict[str, str]:
    """Find disks that are there twice: the PV name (xvda) with the emulated one (hda).

    Some HVM guests list one image as hda and as xvda: the firmware boots from the first, the PV
    driver uses the second, the emulated one is unplugged. KVM has no unplugging: two writers on
    one image destroy it.
    """
    emulated: dict[tuple[str, int], str] = {}
    for disk, source in _hard_disks(domain):
        if disk.bus in ("ide", "scsi"):
            emulated[source, disk.order[0]] = disk.dev
    return {
        disk.dev: emulated[source, disk.order[0]]
        for disk, source in _hard_disks(domain)
        if disk.bus == "xen" and source and (source, disk.order[0]) in emulated
    }


def parse_name(dev: str) -> tuple[str, int, int]:
    """Split a target name: "xvdb3" is ("xvd", 1, 3).

    Raises InvalidXml for a name that libvirt does not know either.
    """
    match = _NAME.fullmatch(dev)
    if not match:
        raise InvalidXml(
            f"A disk has the target name {dev!r}, which no driver knows.",
            hint="Names are xvd, hd, sd, vd or fd and a letter: xvda, hdc, xvda2.",
        )
    number = 0
    for letter in match[2]:
        number = number * 26 + ord(letter) - ord("a") + 1
    return match[1], number - 1, int(match[3] or 0)


def disk_bus(disk: Element) -> str:
    """The bus of a <disk>, where the document leaves it out by its name, as libvirt does."""
    target = disk.find("target")
    if target is None:
        return ""
    return target.get("bus") or BUSES[parse_name(target.get("dev", ""))[0]]


def _disks(domain: Element) -> list[_Disk]:
    found = []
    for disk in domain.iterfind("devices/disk[target]"):
        dev = target_dev(disk)
        prefix, letter, part = parse_name(dev)
        order = (letter, _PREFIXES.index(prefix), part)
        found.append(_Disk(dev, disk.get("device", "disk"), disk_bus(disk), order))
    return found


def _hard_disks(domain: Element) -> list[tuple[_Disk, str]]:
    elements = domain.iterfind("devices/disk[target]")
    return [
        (disk, _source(element))
        for disk, element in zip(_disks(domain), elements, strict=True)
        if disk.device == "disk"
    ]


def _source(disk: Element) -> str:
    source = disk.find("source")
    return "" if source is None else source.get("file") or source.get("dev") or ""


def _kept(disk: _Disk) -> bool:
    return disk.bus not in XEN_BUSES or (disk.device == "lun" and disk.bus == "scsi")


def _bus(disk: _Disk, *, virtio: bool) -> str:
    if disk.device == "disk":
        return "virtio" if virtio else "sata"
    return {"lun": "scsi", "floppy": "fdc"}.get(disk.device, "sata")


def _free(prefix: str, taken: set[str]) -> str:
    number = 0
    while f"{prefix}{letters(number)}" in taken:
        number += 1
    return f"{prefix}{letters(number)}"


def pending(domain: Element) -> frozenset[str]:
    """Names of the disks that are still where Xen had them."""
    return frozenset(disk.dev for disk in _disks(domain) if not _kept(disk))
