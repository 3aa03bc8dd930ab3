# SPDX-License-Identifier: GPL-2.0-or-later
"""The domain XML that virt-v2v is given, and the one that it writes.

It is given as little as it needs. It ignores units of memory, takes no disk without a device
attribute, guesses formats that are not said, and goes by the order of disks and not their names
(virt-v2v's input/parse_libvirt_xml.ml): so here all of it is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from xen2kvmd import xml
from xen2kvmd.words import letters

NAME = "guest"  # a fixed name: virt-v2v makes file names of it


@dataclass(frozen=True)
class Outcome:
    """What virt-v2v's XML says of the guest: the bus of each disk, the model of each NIC."""

    buses: tuple[str, ...]
    models: tuple[str, ...]


def given(overlays: Sequence[str], macs: Sequence[str], *, memory: int, vcpus: int) -> str:
    """Return the XML for virt-v2v. Overlays are qcow2, in the guest's order; memory in bytes."""
    root = etree.Element("domain", type="xen")
    etree.SubElement(root, "name").text = NAME
    etree.SubElement(root, "memory", unit="KiB").text = str(memory // 1024)
    etree.SubElement(root, "vcpu").text = str(vcpus)
    etree.SubElement(etree.SubElement(root, "os"), "type").text = "hvm"
    devices = etree.SubElement(root, "devices")
    for number, path in enumerate(overlays):
        disk = etree.SubElement(devices, "disk", type="file", device="disk")
        etree.SubElement(disk, "driver", name="qemu", type="qcow2")
        etree.SubElement(disk, "source", file=path)
        etree.SubElement(disk, "target", dev=f"xvd{letters(number)}", bus="xen")
    for mac in macs:
        nic = etree.SubElement(devices, "interface", type="bridge")
        etree.SubElement(nic, "source", bridge="any")
        if mac:
            etree.SubElement(nic, "mac", address=mac)
    return xml.serialize(root)


def written(document: str) -> Outcome:
    """Read virt-v2v's own XML."""
    root = xml.parse(document, what="The XML of virt-v2v")
    return Outcome(
        tuple(str(found) for found in root.xpath("devices/disk[@device='disk']/target/@bus")),
        tuple(str(found) for found in root.xpath("devices/interface/model/@type")),
    )


def output_name(number: int) -> str:
    """Return how virt-v2v calls a disk that it wrote."""
    return f"{NAME}-sd{letters(number)}"
