# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the network: every NIC keeps its name, and so its address, by its MAC address.

Under Xen a NIC is eth0 or enX0; udev would call the same NIC enp1s0 or ens3 under KVM, and the
guest would come up without an address.
"""

import re
from collections.abc import Iterator

from xen2kvmd.guest.nics import (
    PERSISTENT_RULES,
    UDEV_RULES,
    name_by_mac,
    name_by_number,
    names_by_slot,
    names_in_rules,
    names_in_settings,
)
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, MacPolicy, Severity
from xen2kvmd.rule import rule

_UDEVD = ("/lib/systemd/systemd-udevd", "/usr/lib/systemd/systemd-udevd")
# Since udev 128 rules of packages are here. Older ones (RHEL 5) do not know ATTR{}: there the
# kernel counts eth0, eth1 on either side, and initscripts rename by HWADDR=.
_UDEV_RULES = "/lib/udev/rules.d"
# VLANs, bridges and bonds have the MAC address of their NIC, but no ID_PATH, which systemd's
# 80-net-setup-link.rules sets before it looks for a .link file. "Type=ether" would match no NIC
# before systemd 245 (its issue 14952, PR 14957): RHEL 7 and 8, Debian 10, Ubuntu 18.04. A vif under
# Xen may have no ID_PATH in these; then the kernel's own name stays there, which is the same.
_LINK = "[Match]\nMACAddress={mac}\nPath=*\n\n[Link]\nName={name}\n"
# As udev's own write_net_rules has it (SLES 11, RHEL 6, Debian 7).
_RULE = (
    'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{mac}", '
    'ATTR{{type}}=="1", KERNEL=="eth*", NAME="{name}"\n'
)
_VIF = re.compile(r'KERNELS=="vif-([0-9]{1,5})"')
_OF_XEN = re.compile(r'\b(?:KERNELS|DRIVERS|DEVPATH)=="[^"]*\bvif\b')
# systemd's .link and .network files, and NetworkManager's connections: the same link of udev's.
_PATH_OF_XEN = re.compile(r"[ \t]*path[ \t]*=.*\bvif-([0-9]{0,5})", re.IGNORECASE)
# Where settings match a NIC by its driver: netplan's, systemd-networkd's, NetworkManager's.
_MATCHES = (
    "/etc/netplan/*.yaml",
    "/etc/systemd/network/*.network",
    "/etc/systemd/network/*.network.d/*.conf",
    "/etc/systemd/network/*.link",
    "/etc/NetworkManager/conf.d/*.conf",
    "/etc/NetworkManager/system-connections/*",
)
_DRIVER = re.compile(r"^([^#\n]*\bdriver[ \t]*[:=])(.*)$", re.IGNORECASE | re.MULTILINE)
_XEN_DRIVER = re.compile(r"(?<![\w.*-])(?:xen[_-]netfront|xen\*|vif\*?)(?![\w.*-])")
_CLOUD_INIT = ("/usr/bin/cloud-init", "/etc/cloud/cloud.cfg")
_CLOUD_OFF = "/etc/cloud/cloud-init.disabled"
_NO_NETWORK = re.compile(
    r"""^network:[ \t]*(?:\{\s*["']?config["']?:|\n\s+config:)\s*["']?disabled""", re.M
)


@rule(guide="")
def nic_names(guest: Tree, case: Case) -> Iterator[Finding]:
    """Keep each NIC's name under Xen by its MAC address.

    By a .link file, which udev reads in the initrd already; and where systemd does not start the
    guest, by a rule of udev's, for its udev may be too old for .link files (before 209: SLES 11,
    RHEL 6, Debian 7, Ubuntu 14.04). The guest's addresses stay with the name.
    """
    links = any(guest.exists(path) for path in _UDEVD)
    rules = guest.exists(_UDEV_RULES) and not (links and case.facts.init == "systemd")
    if not case.nics or not (links or rules):
        return
    if case.target.mac is MacPolicy.NEW:
        yield Finding(
            "nic-names-by-new-mac",
            "The NICs get new MAC addresses, so their names cannot be kept by them.",
            Severity.WARNING,
            hint="Keep the MAC addresses, or correct the names in the guest's network settings.",
        )
        return
    settings = names_in_settings(guest)
    names = _names(guest, case, settings)
    for number, (nic, name) in enumerate(zip(case.nics, names, strict=True)):
        if name and name in names[:number]:
            yield Finding(
                "nic-name-twice",
                f"The guest's settings call NIC {number} ({nic.mac}) {name}, and another, too.",
                Severity.WARNING,
                hint="Correct the names in the guest's network settings; it keeps none by them.",
            )
            continue
        if name and links:
            path = f"/etc/systemd/network/10-xen2kvm-{name}.link"
            guest.write(path, _LINK.format(mac=nic.mac.lower(), name=name))
        if name and rules:
            _add_rule(guest, nic.mac.lower(), name)
        if not name and settings:
            yield Finding(
                "nic-name-unknown",
                f"NIC {number} ({nic.mac}) has no name in the guest's network settings.",
                Severity.INFO,
                hint="If the guest does configure it, check its name after the migration.",
            )
    lost = names_by_slot(settings - set(names)) if case.kind == "hvm" else ()
    for name in lost:
        yield Finding(
            "nic-name-not-kept",
            f"The guest's network settings name {name}: which of its NICs that is, is not known.",
            Severity.WARNING,
            hint="See 'ip link' in the new guest, and correct the name in its network settings.",
        )


@rule(guide="")
def persistent_net_rules(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let udev's rules for NICs hold for virtio too, not for Xen's vif alone.

    A rule that asks for the driver vif, or Xen's device vif-0, no longer matches, and the NIC gets
    another name: in udev's own file of names, or in one that a person wrote.
    """
    for path in filter(guest.is_file, guest.glob(UDEV_RULES)):
        lines = [_for_virtio(line, case) for line in guest.read(path).splitlines(keepends=True)]
        guest.write(path, "".join(lines))
        for number, line in enumerate(lines, start=1):
            if _OF_XEN.search(line) and not line.lstrip().startswith("#"):
                yield Finding(
                    "nic-rule-of-xen",
                    f"{path}, line {number}, is a rule for a NIC of Xen's: it matches none now.",
                    Severity.WARNING,
                    hint="If the guest needs it, match the NIC by its address there: "
                    'ATTR{address}=="00:16:3e:...".',
                    place=f"{path}:{number}",
                )


@rule(guide="")
def nic_drivers(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let network settings match virtio's NICs where they match those of Xen's driver.

    netplan and systemd-networkd leave a NIC alone that has another driver than is said. What
    matches one by its place under Xen stays, and is told.
    """
    driver = "virtio_net" if case.facts.virtio else "e1000"  # as the domain XML has it
    for path in (found for pattern in _MATCHES for found in guest.glob(pattern)):
        if guest.is_file(path):
            text = guest.read(path)
            guest.write(
                path,
                _DRIVER.sub(lambda line: line[1] + _XEN_DRIVER.sub(driver, line[2]), text),
            )
            yield from _paths_of_xen(path, text, case)


def _paths_of_xen(path: str, text: str, case: Case) -> Iterator[Finding]:
    """Tell of each line that matches a NIC by its place on Xen's bus (Path=xen-vif-0)."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _PATH_OF_XEN.match(line):
            nics = [nic for at, nic in enumerate(case.nics) if str(at) == found[1]]
            known = nics and case.target.mac is not MacPolicy.NEW
            yield Finding(
                "nic-path-of-xen",
                f"{path}, line {number}, matches a NIC by its place under Xen: it matches none "
                "now, and the NIC may get another name, or none of its settings.",
                Severity.WARNING,
                hint="Match the NIC by its MAC address instead"
                + (f": {nics[0].mac.lower()}." if known else "."),
                place=f"{path}:{number}",
            )


@rule(guide="")
def cloud_init_network(guest: Tree, case: Case) -> Iterator[Finding]:
    """Tell where cloud-init may write the network settings anew.

    It does so on a machine that it takes for a new one, as where its data source was Xen's.
    """
    if not any(guest.exists(path) for path in _CLOUD_INIT) or guest.exists(_CLOUD_OFF):
        return
    configs = ("/etc/cloud/cloud.cfg", *guest.glob("/etc/cloud/cloud.cfg.d/*.cfg"))
    if any(guest.is_file(path) and _NO_NETWORK.search(guest.read(path)) for path in configs):
        return
    yield Finding(
        "cloud-init-network",
        "cloud-init may write the guest's network settings anew at its first start.",
        Severity.WARNING,
        hint="If its addresses shall stay, put 'network: {config: disabled}' into "
        "/etc/cloud/cloud.cfg.d/99-network.cfg in the guest.",
        place="/etc/cloud",
    )


def _names(guest: Tree, case: Case, settings: frozenset[str]) -> list[str]:
    """Return what the guest's settings call each of its NICs: by address, by number, by slot.

    QEMU gives emulated NICs their slots in their order. Where there are as many names of one kind
    as NICs without one, they are theirs. What is left has the name that a firewall goes by.
    """
    names = [name_by_mac(guest, nic.mac) for nic in case.nics]
    by_number = [name_by_number(settings, number) for number in range(len(names))]
    names = [
        name or (other if other not in names else "")
        for name, other in zip(names, by_number, strict=True)
    ]
    by_slot = names_by_slot(settings - set(names)) if case.kind == "hvm" else ()
    unnamed = [number for number, name in enumerate(names) if not name]
    if len(by_slot) == len(unnamed) and len({name[:3] for name in by_slot}) == 1:
        for number, name in zip(unnamed, by_slot, strict=True):
            names[number] = name
    kinds = {name[:3] for name in names if name}  # "eth" or "enX": a rule may be from before
    found = frozenset() if all(names) else names_in_rules(guest)
    rules = frozenset(name for name in found if not kinds or name[:3] in kinds)
    by_rule = [name_by_number(rules, number) for number in range(len(names))]
    return [
        name or (other if other not in names else "")
        for name, other in zip(names, by_rule, strict=True)
    ]


def _add_rule(guest: Tree, mac: str, name: str) -> None:
    """Add a rule for a NIC where none names its address."""
    paths = filter(guest.is_file, guest.glob(UDEV_RULES))
    lines = (line for path in paths for line in guest.read(path).splitlines())
    rules = (line for line in lines if not line.lstrip().startswith("#"))
    if any(re.search(r'\bNAME:?="', line.partition(f'"{mac}"')[2]) for line in rules):
        return
    text = guest.read(PERSISTENT_RULES) if guest.is_file(PERSISTENT_RULES) else ""
    newline = "\n" if text and not text.endswith("\n") else ""
    guest.write(PERSISTENT_RULES, text + newline + _RULE.format(mac=mac, name=name))


def _for_virtio(line: str, case: Case) -> str:
    """Let a line match the same NIC on virtio: vif-1 is Xen's second, known by its address."""
    if line.lstrip().startswith("#"):
        return line
    line = line.replace('DRIVERS=="vif"', 'DRIVERS=="?*"')
    found = _VIF.search(line)
    if not found or int(found[1]) >= len(case.nics) or case.target.mac is MacPolicy.NEW:
        return line
    if "{address}==" in line:
        return re.sub(rf"{_VIF.pattern},\s*", "", line)
    return line.replace(found[0], f'ATTR{{address}}=="{case.nics[int(found[1])].mac.lower()}"')
