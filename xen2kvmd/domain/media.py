# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for details of a <disk>: media, sharing, and what the new bus cannot express."""

from collections.abc import Iterator

from xen2kvmd.domain.names import disk_bus
from xen2kvmd.domain.tree import devices, number, place, remove, target_dev, text
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

_VIRTIO_ONLY = "ioeventfd event_idx queues queue_size iommu ats packed page_per_vq iothread".split()


@rule(guide="15.2.4.2 (8)")
def removable_media(domain: Element, case: Case) -> Iterator[Finding]:
    """Let the guest start without a CD-ROM or floppy that only the Xen host has."""
    for disk in devices(domain, "disk"):
        source = disk.find("source")
        if disk.get("device") not in ("cdrom", "floppy") or source is None:
            continue
        medium = source.get("file") or source.get("dev")
        if medium == "" or (not medium and disk.get("type", "file") in ("file", "block")):
            remove(source)
        elif medium:
            source.set("startupPolicy", "optional")
            yield Finding(
                "medium-not-copied",
                f"The medium in '{target_dev(disk)}', {medium}, is not copied; "
                "the guest starts without.",
                severity=Severity.INFO,
                hint="Copy it to the same path on the target host if the guest needs it.",
                place=place(disk),
            )


@rule(guide="")
def shared_disks(domain: Element, case: Case) -> Iterator[Finding]:
    """Say that a disk shared with other guests is shared no more, once it is copied."""
    for disk in devices(domain, "disk"):
        if disk.find("shareable") is not None:
            yield Finding(
                "disk-shared",
                f"Disk '{target_dev(disk)}' is shared: the copy is this guest's alone.",
                hint="Move all guests that share it at once, and point them at one copy.",
                place=place(disk),
            )


@rule(guide="")
def encrypted_disks(domain: Element, case: Case) -> Iterator[Finding]:
    """Stop a disk in QEMU's old encrypted qcow, which nothing current opens."""
    for encryption in domain.findall("devices/disk/encryption[@format='qcow']"):
        where = place(encryption)
        remove(encryption)
        yield Finding(
            "disk-encryption",
            "A disk is encrypted in qcow's old way, which QEMU does not open any more.",
            severity=Severity.BLOCKER,
            hint="Decrypt it with an old qemu-img on the Xen host.",
            place=where,
        )


@rule(guide="")
def disk_details(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove details of disks that QEMU's driver refuses on their bus.

    Xen's driver ignores or never had them: world wide names and vendors are SCSI's, a rotation rate
    is no virtio disk's, native I/O wants no cache.
    """
    for disk in devices(domain, "disk"):
        where = place(disk)
        for shown, hint in _refused(disk, domain):
            yield Finding(
                "disk-detail-dropped",
                f"Disk '{target_dev(disk)}' cannot have {shown} on {disk_bus(disk)}; "
                "it is dropped.",
                severity=Severity.INFO,
                hint=hint,
                place=where,
            )


@rule(guide="")
def writable_sata(domain: Element, case: Case) -> Iterator[Finding]:
    """Make read-only disks on SATA writable: there is no read-only SATA disk."""
    for disk in devices(domain, "disk"):
        readonly = disk.find("readonly")
        hard = disk.get("device", "disk") == "disk"
        if readonly is not None and hard and disk_bus(disk) in ("sata", "ide"):
            remove(readonly)
            yield Finding(
                "disk-writable",
                f"Disk '{target_dev(disk)}' was read-only; "
                "on SATA the guest can write to its copy.",
                hint="Give the guest virtio drivers and the disk the virtio bus.",
                place=place(disk),
            )


def _refused(disk: Element, domain: Element) -> Iterator[tuple[str, str]]:
    """Remove each refused detail and name it, with a hint."""
    bus, removable = disk_bus(disk), disk.get("device") in ("cdrom", "floppy")
    for name in ("wwn", "vendor", "product"):
        element = disk.find(name)
        if element is not None and bus != "scsi":
            remove(element)
            yield (
                f"<{name}> {(element.text or '').strip()}",
                "Names in the guest under /dev/disk/by-id that are made of it change.",
            )
    for parent, key, refused in (
        ("geometry", "trans", bus != "ide"),
        ("target", "tray", not removable),
        ("target", "removable", bus != "usb"),
        ("target", "rotation_rate", bus not in ("sata", "scsi", "ide")),
        (".", "rawio", disk.get("device") != "lun"),
        (".", "sgio", True),
    ):
        element = disk.find(parent)
        if element is not None and key in element.attrib and refused:
            yield f"{key}='{element.attrib.pop(key)}'", "Xen did not use it."
    driver = disk.find("driver")
    if driver is not None:
        for key in _driver_refused(driver, bus, domain):
            yield f"{key}='{driver.attrib.pop(key)}'", "It is about speed alone."


def _driver_refused(driver: Element, bus: str, domain: Element) -> Iterator[str]:
    if driver.get("io") == "native" and driver.get("cache") not in ("none", "directsync"):
        yield "io"
    defined = text(domain, "iothreads")
    threads = int(defined) if defined.isascii() and defined.isdigit() else 0
    for key in _VIRTIO_ONLY:
        undefined = key == "iothread" and number(driver, key, 0) > threads
        if key in driver.attrib and (bus != "virtio" or undefined):
            yield key
