# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for consoles, serial ports and channels."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device, append, devices, place, remove
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

AGENT = "org.qemu.guest_agent.0"


@rule(guide="15.2.4.2 (10)")
def no_xen_console(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove Xen's console (hvc0), which does not exist under KVM.

    One that goes to a file, a socket or a log becomes a serial port that goes there.
    """
    for console in devices(domain, "console"):
        target = console.find("target")
        if target is not None and target.get("type", "xen") != "xen":
            continue
        where = place(console)
        elsewhere = console.get("type") != "pty" or console.find("log") is not None
        if elsewhere and domain.find("devices/serial") is None:
            serial = add_device(domain, "serial", type=console.get("type", "pty"))
            serial.extend([child for child in console if child.tag != "target"])
        elif target is not None and target.get("port", "0") != "0":
            yield Finding(
                "console-dropped",
                f"Xen's further console hvc{target.get('port')} is dropped.",
                severity=Severity.INFO,
                hint="Add a serial port if the guest uses it.",
                place=where,
            )
        remove(console)


@rule(guide="15.2.4.2 (11)")
def serial_console(domain: Element, case: Case) -> Iterator[Finding]:
    """Give the guest a serial port, ttyS0, and its console on it.

    The guide removes serial ports along with Xen's console; without one there is no 'virsh
    console', and nobody sees how far the guest gets when it does not start.
    """
    if domain.find("devices/serial") is None:
        serial = add_device(domain, "serial", type="pty")
        append(serial, "target", type="isa-serial", port="0")
    first = domain.find("devices/serial")
    if domain.find("devices/console") is None and first is not None and first.get("type") == "pty":
        console = add_device(domain, "console", type="pty")
        append(console, "target", type="serial", port="0")
    return iter(())


@rule(guide="")
def channels_on_virtio(domain: Element, case: Case) -> Iterator[Finding]:
    """Put Xen's channels on virtio-serial, with the same name and the same other end."""
    for channel in devices(domain, "channel"):
        target = channel.find("target[@type='xen']")
        if target is not None:
            target.set("type", "virtio")
            target.attrib.pop("state", None)
            name = target.get("name", "")
            yield Finding(
                "channel-moved",
                f"Xen's channel '{name}' is /dev/virtio-ports/{name} in the guest now.",
                hint="Point the program in the guest there; under Xen it was a /dev/hvc device.",
                place=place(channel),
            )


@rule(guide="")
def agent_channel(domain: Element, case: Case) -> Iterator[Finding]:
    """Add the channel of the QEMU guest agent: a clean shutdown, addresses, frozen backups."""
    if domain.find(f"devices/channel/target[@name='{AGENT}']") is None:
        channel = add_device(domain, "channel", type="unix")
        append(channel, "target", type="virtio", name=AGENT)
    return iter(())


@rule(guide="")
def spice_channels(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove what needs a SPICE display where there is none; QEMU's driver refuses it."""
    if domain.find("devices/graphics[@type='spice']") is not None:
        return
    for device in domain.findall("devices/*[@type='spicevmc']"):
        where = place(device)
        remove(device)
        yield Finding(
            "spice-channel-dropped",
            f"The {where} that goes to a SPICE client is dropped: there is no SPICE display.",
            severity=Severity.INFO,
            place=where,
        )
