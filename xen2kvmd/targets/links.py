# SPDX-License-Identifier: GPL-2.0-or-later
"""What the new guest's NICs are connected to: whether the target host has it."""

from collections.abc import Iterator
from pathlib import Path

from xen2kvmd import xml
from xen2kvmd.model import Finding, Severity
from xen2kvmd.system.libvirt import Host


def missing(document: str, host: Host) -> Iterator[Finding]:
    """Find the networks and bridges that the new guest needs and the target host has not."""
    for nic in xml.parse(document).iterfind("devices/interface"):
        source = nic.find("source")
        mac = nic.find("mac")
        which = "a NIC" if mac is None else f"NIC {mac.get('address')}"
        if source is None:
            continue
        if nic.get("type") == "network":
            name = source.get("network", "")
            active = host.network_is_active(name)
            if active is None:
                yield _missing("network", name, which)
            elif not active:
                yield Finding(
                    "network-inactive",
                    f"Network '{name}', which {which} needs, is not active.",
                    Severity.BLOCKER,
                    hint=f"Start it: virsh net-start {name}",
                )
        elif nic.get("type") == "bridge":
            name = source.get("bridge", "")
            if host.remote:
                yield Finding(
                    "bridge-not-checked",
                    f"Whether the target host has the bridge '{name}', which {which} needs, is "
                    "not known: libvirt does not tell.",
                    Severity.INFO,
                    hint="See there: ip link show type bridge. The guest needs it to start.",
                )
            elif not Path("/sys/class/net", name, "bridge").exists():
                yield _missing("bridge", name, which)


def _missing(kind: str, name: str, which: str) -> Finding:
    return Finding(
        f"{kind}-missing",
        f"The target host has no {kind} '{name}', which {which} needs.",
        Severity.BLOCKER,
        hint=f"Connect it elsewhere with --network NAME or --bridge NAME, or make the {kind}.",
    )
