# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for controllers and for where devices sit on them."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import devices, remove, remove_all
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="")
def no_xen_bus(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove Xen's own bus."""
    remove_all(domain, "devices/controller[@type='xenbus']")
    return iter(())


@rule(guide="")
def usb_of_qemu(domain: Element, case: Case) -> Iterator[Finding]:
    """Replace Xen's PV USB controllers, and a lone companion, by QEMU's own xHCI."""
    masters = domain.find("devices/controller/master") is not None
    for controller in domain.iterfind("devices/controller[@type='usb']"):
        model = controller.get("model", "")
        if model.startswith("qusb") or ("ich9-uhci" in model and not masters):
            controller.set("model", "qemu-xhci")
    return iter(())


@rule(guide="")
def scsi_of_qemu(domain: Element, case: Case) -> Iterator[Finding]:
    """Make SCSI controllers virtio-scsi where the guest has the driver; QEMU has no BusLogic."""
    for controller in domain.iterfind("devices/controller[@type='scsi']"):
        if case.facts.virtio:
            controller.set("model", "virtio-scsi")
        elif controller.get("model") == "buslogic":
            controller.set("model", "lsilogic")
    return iter(())


@rule(guide="")
def no_idle_controllers(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove PCI, IDE and SCSI controllers that belong to Xen's machine.

    libvirt adds those that the devices need; q35 has no IDE at all.
    """
    used = {target.get("bus") for target in domain.iterfind("devices/disk/target")}
    used |= {device.get("type") for device in devices(domain, "hostdev")}
    for controller in devices(domain, "controller"):
        bus = controller.get("type", "")
        if bus == "pci" or (bus in ("ide", "scsi") and bus not in used):
            remove(controller)
    return iter(())


@rule(guide="")
def addresses_anew(domain: Element, case: Case) -> Iterator[Finding]:
    """Let libvirt choose where devices sit: Xen's addresses belong to another machine."""
    remove_all(domain, "devices/*/address")
    return iter(())
