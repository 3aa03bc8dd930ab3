# SPDX-License-Identifier: GPL-2.0-or-later
"""What a libvirt can run guests with."""

from dataclasses import dataclass

from xen2kvmd import xml
from xen2kvmd.errors import Failed


@dataclass(frozen=True)
class Emulator:
    """What the host can run: the QEMU binary, and whether libvirt offers KVM at all."""

    path: str
    kvm: bool


def emulator(capabilities: str, arch: str) -> Emulator:
    """Return the QEMU binary for an architecture, by the XML of capabilities. Raises Failed."""
    for found in xml.parse(capabilities, what="The capabilities").iterfind("guest/arch"):
        if found.get("name") == arch:
            types = {domain.get("type") for domain in found.iterfind("domain")}
            return Emulator(found.findtext("emulator") or "", kvm="kvm" in types)
    raise Failed(
        f"This host's libvirt cannot run {arch} guests.",
        hint=f"Install QEMU's system emulator for {arch} (Debian: qemu-system).",
    )
