# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for <interface>."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from xen2kvmd.domain.read import link_of
from xen2kvmd.domain.tree import append, brief, devices, place, remove, remove_all
from xen2kvmd.model import Case, Finding, MacPolicy, Nic, NicMap, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

_HARMLESS = frozenset({"vif-bridge", "vif-openvswitch", "network-bridge"})


@rule(guide="15.1.3")
def nic_links(domain: Element, case: Case) -> Iterator[Finding]:
    """Connect each NIC as the maps say; the first map that matches wins."""
    for nic, source in zip(devices(domain, "interface"), case.nics, strict=False):
        # A NIC that is not where the source had it was connected before.
        if link_of(nic) == (source.kind, source.source):
            for entry in case.target.nics:
                if _matches(source, entry):
                    _connect(nic, entry)
                    break
    return iter(())


def _matches(source: Nic, entry: NicMap) -> bool:
    if entry.match == "any":
        return source.kind != "hostdev"  # a device of the host has no link to choose
    if entry.match == "mac":
        return source.mac.lower() == entry.old.lower()
    return (source.kind, source.source) == (entry.match, entry.old)


def _connect(nic: Element, entry: NicMap) -> None:
    source = nic.find("source")
    if nic.get("type") == entry.kind and source is not None:
        if source.get(entry.kind) == entry.new:
            return
    if nic.get("type") != entry.kind:
        remove_all(nic, "virtualport")  # of the old switch; a network brings its own
    nic.set("type", entry.kind)
    remove_all(nic, "source")
    made = append(nic, "source", **{str(entry.kind): entry.new})
    nic.insert(0 if nic.find("mac") is None else 1, made)


@rule(guide="")
def nic_macs(domain: Element, case: Case) -> Iterator[Finding]:
    """Let libvirt make new MAC addresses where they were asked for; give one to a NIC without.

    xl gives such a NIC another one at each start. Under KVM the guest knows its NICs by them.
    """
    if case.target.mac is MacPolicy.NEW:
        remove_all(domain, "devices/interface/mac")
        return
    for nic, source in zip(devices(domain, "interface"), case.nics, strict=False):
        mac = nic.find("mac")
        if mac is None:
            mac = append(nic, "mac")
            nic.insert(0, mac)
        if not mac.get("address"):
            mac.set("address", source.mac)
            yield Finding(
                "nic-mac-chosen",
                f"The source gives this NIC no MAC address: it has {source.mac} from now on.",
                severity=Severity.INFO,
                hint="Give the source's NIC another, if DHCP or a filter shall know it by that.",
                place=place(nic),
            )


@rule(guide="15.2.4.2 (9)")
def nics_on_virtio(domain: Element, case: Case) -> Iterator[Finding]:
    """Give each NIC the virtio model, or e1000 where the guest has no virtio driver."""
    for nic in devices(domain, "interface"):
        if nic.get("type") == "hostdev":
            continue
        model = nic.find("model")
        if model is None:
            model = append(nic, "model")
        model.set("type", "virtio" if case.facts.virtio else "e1000")
    return iter(())


@rule(guide="15.2.4.2 (9)")
def no_nic_scripts(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove Xen's scripts, which connect a NIC on the Xen host; libvirt does it itself."""
    for script in domain.findall("devices/interface/script"):
        path = script.get("path", "")
        where = place(script)
        remove(script)
        if PurePosixPath(path).name not in _HARMLESS:
            yield Finding(
                "nic-script-dropped",
                f"The script '{path}' that set up this NIC on the Xen host is not run any more.",
                hint="Do what it did by a libvirt network, a network hook or the bridge's set-up.",
                place=where,
            )


@rule(guide="15.2.4.2 (9)")
def no_nic_backend_names(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove the names of Xen's back ends (vif1.0); libvirt names its own."""
    for nic in devices(domain, "interface"):
        target = nic.find("target")
        if target is not None and target.get("dev", "").startswith(("vif", "vnet", "veth")):
            remove(target)
    return iter(())


@rule(guide="")
def no_nic_addresses(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove the guest's IP addresses and routes, which Xen's scripts used on the host.

    Only QEMU's user network hands out an address; a container's would be set by libvirt.
    """
    for nic in devices(domain, "interface"):
        kept = ("ip",) if nic.get("type") == "user" else ()
        for element in [each for each in nic if each.tag in ("ip", "route")]:
            if element.tag not in kept:
                where, shown = place(element), brief(element)
                remove(element)
                yield Finding(
                    "nic-address-dropped",
                    f"{shown} is dropped: it told Xen's scripts the guest's address.",
                    severity=Severity.INFO,
                    hint="The guest has its own configuration; anti-spoofing needs a <filterref>.",
                    place=where,
                )


@rule(guide="")
def nic_vlans(domain: Element, case: Case) -> Iterator[Finding]:
    """Carry VLAN tags, and say where the target's switch must know them."""
    for nic in devices(domain, "interface"):
        tags = [tag.get("id", "") for tag in nic.iterfind("vlan/tag")]
        if tags and nic.get("type") == "bridge" and nic.find("virtualport") is None:
            yield Finding(
                "nic-vlan",
                f"A NIC has VLAN {', '.join(tags)} on a bridge without Open vSwitch.",
                hint="libvirt before 11.0 does not tag there: use Open vSwitch or a VLAN's bridge.",
                place=place(nic),
            )


@rule(guide="")
def nic_details(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove what only virtio NICs have from one that is not."""
    for nic in devices(domain, "interface"):
        model = nic.find("model")
        if model is None or model.get("type") == "virtio":
            continue
        for element in [each for each in nic if each.tag in ("driver", "teaming")]:
            where = place(element)
            remove(element)
            yield Finding(
                "nic-detail-dropped",
                f"{brief(element)} is for virtio NICs; this one is {model.get('type')}.",
                severity=Severity.INFO,
                place=where,
            )
