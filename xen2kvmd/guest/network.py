# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the network: every NIC keeps its name, and so its address, by its MAC address.

Under Xen a NIC is eth0 or enX0; udev would call the same NIC enp1s0 or ens3 under KVM, and the
guest would come up without an address.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, MacPolicy, Severity
from xen2kvmd.rule import rule

PERSISTENT_RULES = "/etc/udev/rules.d/70-persistent-net.rules"
_UDEVD = ("/lib/systemd/systemd-udevd", "/usr/lib/systemd/systemd-udevd")
_XEN_NAME = re.compile(r"(?:eth|enX)[0-9]+")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,14}")  # as the kernel has it, and safe in a path
_LINK = "[Match]\nMACAddress={mac}\nType=ether\n\n[Link]\nName={name}\n"

# Where names of NICs stand, by the files that hold them; the first group is the name.
_IN_TEXT = (
    (
        ("/etc/network/interfaces", "/etc/network/interfaces.d/*"),
        re.compile(r"^\s*iface\s+(\S+)", re.M),
    ),
    (("/etc/systemd/network/*.network",), re.compile(r"^\s*Name\s*=\s*(\S+)\s*$", re.M)),
    (("/etc/netplan/*.yaml",), re.compile(r"^\s+[\"']?((?:eth|enX)[0-9]+)[\"']?:\s*$", re.M)),
    (
        ("/etc/NetworkManager/system-connections/*",),
        re.compile(r"^\s*interface-name\s*=\s*(\S+)\s*$", re.M),
    ),
)


@dataclass(frozen=True)
class _Named:
    """How a kind of file ties a name to an address: in one block of it, by two patterns."""

    block: str  # what separates the blocks, "" for none
    mac: str
    name: str

    def blocks(self, text: str) -> list[str]:
        return re.split(self.block, text, flags=re.MULTILINE) if self.block else [text]


_BY_MAC = (
    ((PERSISTENT_RULES,), _Named(r"\n", r"^[^#]*{}", r'\bNAME="([^"/ ]+)"')),
    (
        ("/etc/systemd/network/*.link",),
        _Named("", r"^\s*MACAddress\s*=.*{}", r"^\s*Name\s*=\s*(\S+)\s*$"),
    ),
    (
        ("/etc/netplan/*.yaml",),
        _Named(
            r"^    (?=\S+:\s*$)",
            r"""macaddress:\s*["']?{}""",
            r"""set-name:\s*["']?([^"'\s]+)""",
        ),
    ),
    (
        ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*"),
        _Named("", r"""^(?:HWADDR|LLADDR)=["']?{}""", r"""^DEVICE=["']?([^"'\s]+)"""),
    ),
)
_IN_NAME = ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*")


@rule(guide="")
def nic_names(guest: Tree, case: Case) -> Iterator[Finding]:
    """Keep each NIC's name under Xen by its MAC address.

    A .link file, which udev reads in the initrd already; the guest's addresses stay with the name.
    """
    if not case.nics or not any(guest.exists(path) for path in _UDEVD):
        return
    if case.target.mac is MacPolicy.NEW:
        yield Finding(
            "nic-names-by-new-mac",
            "The NICs get new MAC addresses, so their names cannot be kept by them.",
            Severity.WARNING,
            hint="Keep the MAC addresses, or correct the names in the guest's network settings.",
        )
        return
    configured = _configured(guest)
    for number, nic in enumerate(case.nics):
        name = _by_mac(guest, nic.mac) or _by_number(configured, number)
        if name:
            path = f"/etc/systemd/network/10-xen2kvm-{name}.link"
            guest.write(path, _LINK.format(mac=nic.mac.lower(), name=name))
        elif configured:
            yield Finding(
                "nic-name-unknown",
                f"NIC {number} ({nic.mac}) has no name in the guest's network settings.",
                Severity.INFO,
                hint="If the guest does configure it, check its name after the migration.",
            )


@rule(guide="")
def persistent_net_rules(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let udev's stored names of NICs hold for virtio too, not for Xen's vif alone.

    A rule that asks for the driver vif no longer matches, and the NIC gets another name.
    """
    if guest.is_file(PERSISTENT_RULES):
        text = guest.read(PERSISTENT_RULES)
        guest.write(PERSISTENT_RULES, re.sub(r'DRIVERS=="vif"', 'DRIVERS=="?*"', text))
    yield from ()


def _configured(guest: Tree) -> frozenset[str]:
    """Return the names as Xen gives them that the guest's own settings use."""
    names = {path.rpartition("/ifcfg-")[2] for pattern in _IN_NAME for path in guest.glob(pattern)}
    for patterns, name in _IN_TEXT:
        for pattern in patterns:
            for path in guest.glob(pattern):
                if guest.is_file(path):
                    names.update(name.findall(guest.read(path)))
    return frozenset(found for found in names if _XEN_NAME.fullmatch(found))


def _by_mac(guest: Tree, mac: str) -> str:
    """Return the name that the guest's own settings give to this address, if any."""
    for patterns, named in _BY_MAC:
        for path in (found for pattern in patterns for found in guest.glob(pattern)):
            if not guest.is_file(path):
                continue
            for block in named.blocks(guest.read(path)):
                name = re.search(named.name, block, re.MULTILINE)
                if not name or not _NAME.fullmatch(name[1]):
                    continue
                if re.search(named.mac.format(re.escape(mac)), block, re.I | re.M):
                    return name[1]
    return ""


def _by_number(configured: frozenset[str], number: int) -> str:
    """Return what Xen calls the NIC of this number, if the guest's settings know that name."""
    names = (f"eth{number}", f"enX{number}")
    return next((name for name in names if name in configured), "")
