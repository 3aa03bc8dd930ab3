# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's own network settings call its NICs, by address or by number."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import join, normpath

from xen2kvmd.guest.tree import Tree

PERSISTENT_RULES = "/etc/udev/rules.d/70-persistent-net.rules"  # udev's own, of older ones
UDEV_RULES = "/etc/udev/rules.d/*.rules"
FOLDER = "/etc/network"
INTERFACES = f"{FOLDER}/interfaces"
_INCLUDE = re.compile(r"^[ \t]*(source|source-directory)\s+(\S+)[ \t]*$", re.M)
# What Xen's NICs are called, or a pattern for these names alone ("enX*", not "en*" or "*").
_XEN_NAME = re.compile(r"(?:eth|enX)[0-9*?\[\]-]+")
# What udev calls an emulated NIC, by its slot or index: one of its own, and no pattern.
_SLOT_NAME = re.compile(r"(?:eno|ens|enp)[0-9]{1,5}(?:s[0-9]{1,5})?(?:f[0-9]{1,5})?")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,14}")  # as the kernel has it, and safe in a path

_COMMENT = re.compile(r"^[ \t]*#.*", re.M)
_Places = tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]
# Where names of NICs stand, by the files that hold them; the first group has the names.
_IN_TEXT = (
    (("/etc/systemd/network/*.network",), re.compile(r"^[ \t]*Name[ \t]*=[ \t]*(.+)$", re.M)),
    (
        ("/etc/netplan/*.yaml",),
        re.compile(
            r"(?:^|[\s{,])[\"']?((?:eth|enX|eno|ens|enp)[0-9][0-9a-z]*)[\"']?[ \t]*:(?=\s|$)",
            re.M,
        ),
    ),
    (
        ("/etc/netplan/*.yaml",),
        re.compile(r"""^[ \t]+(?:match:[ \t]*\{[ \t]*)?name:[ \t]*["']?([^"'\s},]+)""", re.M),
    ),
    (
        ("/etc/NetworkManager/system-connections/*",),
        re.compile(r"^[ \t]*interface-name[ \t]*=[ \t]*(\S.*)$", re.M),  # "eth0;eth1;" in [match]
    ),
    (
        ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*"),
        re.compile(r"""^[ \t]*DEVICE=["']?([^"'\s]+)""", re.M),
    ),
    # netifrc of Gentoo: config_eth0="dhcp"; Slackware; netctl of Arch; dhcpcd wherever it is alone.
    (("/etc/conf.d/net",), re.compile(r"^[ \t]*(?:config|routes|dhcp|bridge)_(\w+)=", re.M)),
    (("/etc/rc.d/rc.inet1.conf",), re.compile(r"""^[ \t]*IFNAME\[\d+\]=["']?(\w+)""", re.M)),
    (("/etc/netctl/*",), re.compile(r"""^[ \t]*Interface=["']?([^"'\s]+)""", re.M)),
    (
        ("/etc/dhcpcd.conf",),
        re.compile(r"^[ \t]*(?:interface|allowinterfaces)[ \t]+(\S.*)$", re.M),
    ),
)
# What else goes by a NIC's name, where nothing above says one: a firewall that would be open, or
# shut, for another name; a server that answers on no other.
_IN_RULES = (
    (("/etc/firewalld/zones/*.xml",), re.compile(r"""<interface name=["']([^"']+)["']""")),
    (
        (
            "/etc/sysconfig/ip*tables",
            "/etc/iptables/*",
            "/etc/iptables.rules",
            "/etc/ufw/*.rules",
            "/var/lib/iptables/rules-save",
        ),
        re.compile(r"[ \t](?:-i|-o|--(?:in|out)-interface)[ \t]+(\S+)"),
    ),
    (
        ("/etc/nftables.conf", "/etc/nftables/*", "/etc/nftables.d/*", "/etc/sysconfig/nftables*"),
        re.compile(r"\b[io]if(?:name)?[ \t]+([^\n]{1,200})"),  # != "eth0"; { "eth0", "eth1" }
    ),
    (
        ("/etc/default/isc-dhcp-server", "/etc/sysconfig/dhcpd", "/etc/default/udhcpd"),
        re.compile(r"""^[ \t]*(?:INTERFACES(?:v[46])?|DHCPD_INTERFACE)=["']?([^"'\n]+)""", re.M),
    ),
    (
        ("/etc/NetworkManager/NetworkManager.conf", "/etc/NetworkManager/conf.d/*.conf"),
        re.compile(r"\binterface-name:=?([\w*.-]+)"),  # what it leaves alone, for one
    ),
    (
        ("/etc/sysctl.conf", "/etc/sysctl.d/*.conf"),
        re.compile(r"\bnet[./]ipv[46][./](?:conf|neigh)[./](\w+)"),
    ),
    (("/etc/dnsmasq.conf", "/etc/dnsmasq.d/*"), re.compile(r"^[ \t]*interface=(\S+)", re.M)),
    (
        ("/etc/keepalived/*.conf",),
        re.compile(r"^[ \t]*interface[ \t]+(\S+)", re.M),
    ),
)
# What ifupdown brings up, and of what bridges, bonds and VLANs are made (interfaces(5)).
_IFACE = re.compile(
    r"^[ \t]*(?:iface|auto|allow-\w+|bridge[_-]ports|(?:bond[_-])?slaves|vlan[_-]raw[_-]device)"
    r"[ \t]+(\S.*)$",
    re.M,
)
_ALIAS = re.compile(r"[.:].*")  # eth0.100, eth0:1


@dataclass(frozen=True)
class _Named:
    """How a kind of file ties a name to an address: in one block of it, by two patterns.

    is_last tells that the last one counts, and not the first.
    """

    blocks: Callable[[str], list[str]]
    mac: str
    name: str
    is_last: bool = False


def _whole(text: str) -> list[str]:
    return [text]


def _netplan_blocks(text: str) -> list[str]:
    """Split at the keys below `ethernets`, however far they are indented."""
    first = re.search(r"^ *ethernets:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*( +)\S", text, re.M)
    return re.split(rf"^{first[1]}(?=\S)", text, flags=re.M) if first else [text]


_BY_MAC = (
    (
        (UDEV_RULES,),
        _Named(str.splitlines, r"^[^#]*{}", r'\bNAME:?="([^"/ ]+)"', is_last=True),
    ),
    (
        ("/etc/systemd/network/*.link",),
        _Named(_whole, r"^[ \t]*MACAddress\s*=.*{}", r"^[ \t]*Name[ \t]*=[ \t]*(\S+)[ \t]*$"),
    ),
    (
        ("/etc/systemd/network/*.network",),
        _Named(_whole, r"^[ \t]*MACAddress\s*=.*{}", r"^[ \t]*Name[ \t]*=[ \t]*(\S+)[ \t]*$"),
    ),
    (
        ("/etc/NetworkManager/system-connections/*",),
        _Named(
            _whole,
            r"^[ \t]*mac-address[ \t]*=[ \t]*{}",
            r"^[ \t]*interface-name[ \t]*=[ \t]*(\S+)[ \t]*$",
        ),
    ),
    (
        ("/etc/netplan/*.yaml",),
        _Named(
            _netplan_blocks,
            r"""macaddress:\s*["']?{}""",
            r"""set-name:\s*["']?([^"'\s]+)""",
        ),
    ),
    (
        ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*"),
        _Named(_whole, r"""^(?:HWADDR|LLADDR)=["']?{}""", r"""^DEVICE=["']?([^"'\s]+)"""),
    ),
)
_IN_NAME = ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*")


def names_in_settings(guest: Tree) -> frozenset[str]:
    """Return the names as Xen gives them, or patterns of them, that the guest's settings use.

    Those of emulated NICs are among them: only a guest with PV drivers has Xen's own.
    """
    names = {path.rpartition("/ifcfg-")[2] for pattern in _IN_NAME for path in guest.glob(pattern)}
    names |= _in_text(guest, _IN_TEXT)
    for path in _interfaces(guest):
        words = (word for line in _IFACE.findall(guest.read(path)) for word in line.split())
        names.update(_ALIAS.sub("", word) for word in words)
    kinds = (_XEN_NAME, _SLOT_NAME)
    return frozenset(found for found in names if any(kind.fullmatch(found) for kind in kinds))


def names_in_rules(guest: Tree) -> frozenset[str]:
    """Return Xen's names of NICs that firewalls and servers go by."""
    return frozenset(filter(_XEN_NAME.fullmatch, _in_text(guest, _IN_RULES)))


def _in_text(guest: Tree, places: _Places) -> set[str]:
    names: set[str] = set()
    for patterns, name in places:
        paths = dict.fromkeys(found for pattern in patterns for found in guest.glob(pattern))
        for path in filter(guest.is_file, paths):
            for line in name.findall(_COMMENT.sub("", guest.read(path))):
                names.update(re.split(r"[\s;,{}\"']+", line))
    return names


def name_by_mac(guest: Tree, mac: str) -> str:
    """Return the name that the guest's own settings give to this address, if any."""
    for patterns, named in _BY_MAC:
        paths = [found for pattern in patterns for found in guest.glob(pattern)]
        for path in filter(guest.is_file, _ordered(paths, named)):
            for block in _ordered(named.blocks(guest.read(path)), named):
                name = re.search(named.name, block, re.MULTILINE)
                if not name or not _NAME.fullmatch(name[1]):
                    continue
                if re.search(named.mac.format(re.escape(mac)), block, re.I | re.M):
                    return name[1]
    return ""


def _ordered(found: list[str], named: _Named) -> list[str]:
    return found[::-1] if named.is_last else found


def name_by_number(settings: frozenset[str], number: int) -> str:
    """Return what Xen calls the NIC of this number, if the guest's settings know that name."""
    names = (f"eth{number}", f"enX{number}")
    exact = next((name for name in names if name in settings), "")
    fits = (name for name in names for pattern in settings if fnmatchcase(name, pattern))
    return exact or next(fits, "")


def names_by_slot(settings: frozenset[str]) -> tuple[str, ...]:
    """Return the names of emulated NICs that the settings know, in the order of their slots."""
    found = (_SLOT_NAME.fullmatch(name) for name in settings)
    return tuple(sorted((name[0] for name in found if name), key=_slot))


def _slot(name: str) -> tuple[str, list[int]]:
    return name[:3], [int(number) for number in re.findall(r"\d+", name)]


def _interfaces(guest: Tree) -> tuple[str, ...]:
    """Return ifupdown's files: the first, and what it includes (interfaces(5)).

    interfaces.d is read even where nothing includes it; a name too many does no harm. What is
    included from elsewhere than /etc/network, a running system makes.
    """
    found = [INTERFACES] if guest.is_file(INTERFACES) else []
    patterns = [f"{FOLDER}/interfaces.d/*"]
    for path in found:  # which grows
        patterns += _included(guest.read(path))
        while patterns:
            more = guest.glob(patterns.pop())
            found += [one for one in more if one not in found and guest.is_file(one)]
    return tuple(found)


def _included(text: str) -> list[str]:
    """Return the patterns that a file includes, of those below /etc/network."""
    patterns = []
    for kind, place in _INCLUDE.findall(text):
        path = normpath(join(FOLDER, place))
        if path.startswith(f"{FOLDER}/"):
            patterns.append(f"{path}/*" if kind == "source-directory" else path)
    return patterns
