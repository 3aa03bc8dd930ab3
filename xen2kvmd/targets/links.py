# SPDX-License-Identifier: GPL-2.0-or-later
"""What the new guest's NICs are connected to: whether the target host has it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from xen2kvmd import xml
from xen2kvmd.model import Finding, Severity, Volume
from xen2kvmd.system.libvirt import Host

AT_BOOT = ("pool-not-at-boot", "network-not-at-boot")


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
                    hint="Start it, now and with its host: "
                    f"{host.virsh('net-start', name)} && {host.virsh('net-autostart', name)}",
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


def not_at_boot(document: str, volumes: Iterable[Volume], host: Host) -> Iterator[Finding]:
    """Find what a guest that starts with its host needs, and that does not start with it.

    A pool of type dir or rbd is none of it: QEMU opens a file, or an image in Ceph, by itself. The
    others mount something, log in somewhere, or activate volumes.
    """
    sources = xml.parse(document).iterfind("devices/interface[@type='network']/source")
    for name in dict.fromkeys(source.get("network", "") for source in sources):
        if host.network_is_active(name) and not host.network_autostarts(name):
            yield _not_at_boot("network", name, host.virsh("net-autostart", name))
    for name in dict.fromkeys(volume.pool for volume in volumes if volume.pool):
        if host.pool_is_active(name) and not host.pool_autostarts(name):
            if host.pool(name).type not in ("dir", "rbd"):
                yield _not_at_boot("pool", name, host.virsh("pool-autostart", name))


def _not_at_boot(kind: str, name: str, command: str) -> Finding:
    what = "Storage pool" if kind == "pool" else "Network"
    return Finding(
        f"{kind}-not-at-boot",
        f"{what} '{name}' does not start with its host, so the new guest, which shall, may not.",
        Severity.WARNING,
        hint=f"Let it start, too: {command}",
    )


def _missing(kind: str, name: str, which: str) -> Finding:
    return Finding(
        f"{kind}-missing",
        f"The target host has no {kind} '{name}', which {which} needs.",
        Severity.BLOCKER,
        hint=f"Connect it elsewhere with --network NAME or --bridge NAME, or make the {kind}.",
    )
