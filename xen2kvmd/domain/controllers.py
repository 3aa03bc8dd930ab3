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
def no_idle_controllers(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove IDE and SCSI controllers that no disk is on any more; q35 has no IDE at all."""
    for controller in devices(domain, "controller"):
        bus = controller.get("type", "")
        if bus in ("ide", "scsi"):
            used = domain.find(f"devices/disk/target[@bus='{bus}']") is not None
            if not used and domain.find(f"devices/hostdev[@type='{bus}']") is None:
                remove(controller)
    return iter(())


@rule(guide="")
def addresses_anew(domain: Element, case: Case) -> Iterator[Finding]:
    """Let libvirt choose where devices sit: Xen's addresses belong to another machine."""
    for disk in domain.iterfind("devices/*"):
        if disk.tag not in ("hostdev", "redirdev"):
            remove_all(disk, "address")
    return iter(())
