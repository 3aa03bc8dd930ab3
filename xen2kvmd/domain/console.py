# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for consoles, serial ports and channels."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device, devices, remove
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

AGENT = "org.qemu.guest_agent.0"


@rule(guide="15.2.4.2 (10)")
def no_xen_console(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove Xen's console (hvc0), which does not exist under KVM."""
    for console in devices(domain, "console"):
        target = console.find("target")
        if target is None or target.get("type", "xen") == "xen":
            remove(console)
    return iter(())


@rule(guide="15.2.4.2 (11)")
def serial_console(domain: Element, case: Case) -> Iterator[Finding]:
    """Give the guest a serial port, ttyS0, and its console on it.

    The guide removes serial ports along with Xen's console; without one there is no 'virsh
    console', and nobody sees how far the guest gets when it does not start.
    """
    if domain.find("devices/serial") is None:
        serial = add_device(domain, "serial", type="pty")
        serial.append(serial.makeelement("target", {"type": "isa-serial", "port": "0"}, None))
    first = domain.find("devices/serial")
    if domain.find("devices/console") is None and first is not None and first.get("type") == "pty":
        console = add_device(domain, "console", type="pty")
        console.append(console.makeelement("target", {"type": "serial", "port": "0"}, None))
    return iter(())


@rule(guide="")
def agent_channel(domain: Element, case: Case) -> Iterator[Finding]:
    """Add the channel of the QEMU guest agent: a clean shutdown, addresses, frozen backups."""
    if domain.find(f"devices/channel/target[@name='{AGENT}']") is None:
        channel = add_device(domain, "channel", type="unix")
        channel.append(channel.makeelement("target", {"type": "virtio", "name": AGENT}, None))
    return iter(())
