# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for <disk>."""

from collections.abc import Iterator

from xen2kvmd.domain.names import XEN_BUSES, disk_bus, names_under_kvm, parse_name, pending, twins
from xen2kvmd.domain.read import disk_format
from xen2kvmd.domain.tree import append, devices, remove, remove_all, target_dev
from xen2kvmd.errors import Unsupported
from xen2kvmd.model import Case, CephPool, Finding, Severity, Volume
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="15.2.4.2 (8)")
def one_disk_once(domain: Element, case: Case) -> Iterator[Finding]:
    """Keep one of two entries for one image: Xen's emulated disk and its PV twin.

    Xen unplugs the emulated one when the PV driver starts. KVM does not: two writers on one image
    would destroy it.
    """
    second = twins(domain)
    for disk in devices(domain, "disk"):
        dev = target_dev(disk)
        if dev in second:
            remove(disk)
            yield Finding(
                "disk-twice",
                f"Disks '{second[dev]}' and '{dev}' are one image; the guest gets it once.",
                severity=Severity.INFO,
                place=f"devices/disk[{dev}]",
            )


@rule(guide="15.2.4.2 (8)")
def disk_driver_qemu(domain: Element, case: Case) -> Iterator[Finding]:
    """Let QEMU read the disks, in the format that the document names; raw where it names none.

    Xen's drivers are file, phy, tap, tap2 and qemu. Nothing is probed: a guest could write a qcow2
    header into its raw disk and so read any file of the host.
    """
    for disk in devices(domain, "disk"):
        driver = disk.find("driver")
        if driver is None:
            driver = append(disk, "driver")
            disk.insert(0, driver)
        driver.set("name", "qemu")
        driver.set("type", disk_format(driver.get("type", "")))
    return iter(())


@rule(guide="15.2.4.2 (8)")
def disk_volumes(domain: Element, case: Case) -> Iterator[Finding]:
    """Point each disk at its copy on the target, a volume of a pool, a file, or an image in Ceph.

    The copy has no backing file: the chain was read through. libvirt knows no volumes of rbd pools
    as disks, so an image is named with its monitors, and its key by libvirt's secret.

    A disk on a bus of KVM's keeps its name, by which it is known the second time, too; any other
    of that name has got it from another rule.
    """
    names = dict(case.devices)
    here = {}
    for disk in devices(domain, "disk"):
        dev = target_dev(disk)
        if disk_bus(disk) in XEN_BUSES or names.get(dev) == dev:
            here[dev] = disk
    for volume in case.target.volumes:
        if volume.dev in here:
            _point(here[volume.dev], volume)
    return iter(())


def _point(disk: Element, volume: Volume) -> None:
    for name in ("source", "backingStore", "auth"):
        remove_all(disk, name)
    if volume.ceph:
        disk.set("type", "network")
        source = _image(disk, volume.path, volume.ceph)
    elif volume.pool:
        disk.set("type", "volume")
        source = append(disk, "source", pool=volume.pool, volume=volume.name)
    elif volume.is_block:
        disk.set("type", "block")
        source = append(disk, "source", dev=volume.path)
    else:
        disk.set("type", "file")
        source = append(disk, "source", file=volume.path)
    driver = disk.find("driver")
    if driver is not None:
        driver.set("type", volume.format)
        driver.addnext(source)


def check_copies(domain: Element, case: Case) -> None:
    """Raise Unsupported if a disk that is copied would not be its copy in the new domain.

    A guest on the source's image would destroy it: this holds whatever the rules do.
    """
    names = dict(case.devices)
    here = {target_dev(disk): disk for disk in devices(domain, "disk")}
    for volume in case.target.volumes:
        disk = here.get(names.get(volume.dev, volume.dev))
        if disk is None or not _is_copy(disk, volume):
            raise Unsupported(
                f"The new guest would not get the copy of disk '{volume.dev}'.",
                hint="Give the disk a name and a bus as Xen has them, xvda and xen, in the domain "
                "XML.",
            )


def _is_copy(disk: Element, volume: Volume) -> bool:
    source = disk.find("source")
    if source is None:
        return False
    if volume.pool and not volume.ceph:
        return (source.get("pool"), source.get("volume")) == (volume.pool, volume.name)
    return volume.path in (source.get("file"), source.get("dev"), source.get("name"))


def _image(disk: Element, path: str, pool: CephPool) -> Element:
    source = append(disk, "source", protocol="rbd", name=path)
    for monitor in pool.monitors:
        append(source, "host", name=monitor.host, port=monitor.port)
    if pool.user:
        auth = append(source, "auth", username=pool.user)
        named = {"uuid": pool.secret_uuid} if pool.secret_uuid else {"usage": pool.secret_usage}
        append(auth, "secret", type="ceph", **named)
    return source


@rule(guide="15.2.4.2 (8)")
def disks_on_virtio(domain: Element, case: Case) -> Iterator[Finding]:
    """Put disks on virtio, or on SATA where the guest has no virtio driver.

    The target name is the one that the guest will use (domain/names.py), and the guest's own files
    are changed to it.
    """
    names = dict(case.devices)
    targets = {target_dev(disk): disk.find("target") for disk in devices(domain, "disk")}
    here = pending(domain)
    if here and not case.facts.virtio:
        yield Finding(
            "no-virtio-drivers",
            "The guest has no virtio drivers: SATA disks and e1000 NICs are slower.",
            hint="Install the drivers in the guest, then change bus and model by 'virsh edit'.",
            place="devices",
        )
    for name in names_under_kvm(domain, virtio=case.facts.virtio):
        old, new = name.xen_dev, names.get(name.xen_dev, name.kvm_dev)
        target = targets[old]
        if old not in here or target is None:
            continue
        target.set("dev", new)
        target.set("bus", name.bus)
        if old in names and parse_name(new)[1:] != parse_name(old)[1:]:
            yield Finding(
                "disk-renamed",
                f"Disk '{old}' becomes '{new}': a guest counts its disks without gaps.",
                severity=Severity.INFO,
                hint="References to it in the guest's own files are changed; check scripts.",
                place=f"devices/disk[{new}]",
            )
