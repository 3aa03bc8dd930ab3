# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for keyboard, mouse and tablet."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="15.2.4.2 (12)")
def input_on_ps2(domain: Element, case: Case) -> Iterator[Finding]:
    """Put Xen's keyboard and mouse on PS/2, which every guest knows; a tablet on USB."""
    for device in domain.iterfind("devices/input[@bus='xen']"):
        device.set("bus", "usb" if device.get("type") == "tablet" else "ps2")
    return iter(())


@rule(guide="")
def usb_tablet(domain: Element, case: Case) -> Iterator[Finding]:
    """Add a USB tablet: with a mouse alone, the pointer in a VNC window goes astray."""
    no_usb = domain.find("devices/controller[@type='usb'][@model='none']") is not None
    if domain.find("devices/input[@type='tablet']") is None and not no_usb:
        add_device(domain, "input", type="tablet", bus="usb")
    return iter(())
