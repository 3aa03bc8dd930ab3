# SPDX-License-Identifier: GPL-2.0-or-later
"""Network interfaces as xl-network-configuration(5) writes them."""

import re
from dataclasses import dataclass, replace
from typing import Any

from xen2kvmd.errors import InvalidSource

_KNOWN = frozenset("mac bridge type model vifname script ip backend rate mtu".split())
_IGNORED = frozenset("devid trusted untrusted netdev accel".split())
_RATE = re.compile(r"([0-9]+)([KMG]?)(b|B)/s(?:@.*)?")
_OVS = re.compile(r"(?P<name>[^.:]+)(?:\.(?P<tag>[0-9]{1,4}))?(?P<trunk>(?::[0-9]{1,4})*)")


@dataclass(frozen=True)
class XlVif:
    """One entry of vif=[...]. rate is in KiB a second, 0 for no limit."""

    mac: str = ""
    bridge: str = ""
    type: str = ""
    model: str = ""
    vifname: str = ""
    script: str = ""
    ip: str = ""
    backend: str = ""
    mtu: str = ""
    rate: int = 0
    tag: str = ""
    trunk: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def openvswitch(self) -> bool:
        return self.script.endswith("vif-openvswitch")

    @property
    def routed(self) -> bool:
        """Whether the guest's packets are routed by the host, not bridged."""
        return self.script.endswith(("vif-route", "vif-nat")) and not self.bridge


def parse_vif(text: str) -> XlVif:
    """Read an entry: key=value, with commas between."""
    vif = XlVif()
    for given in text.split(","):
        key, sign, value = (part.strip() for part in given.partition("="))
        if key == "rate":
            vif = replace(vif, rate=_rate(value, text))
        elif key in _KNOWN and sign:
            vif = replace(vif, **_word(key, value))
        elif key and key not in _IGNORED:
            vif = replace(vif, unknown=(*vif.unknown, given.strip()))
    match = _OVS.fullmatch(vif.bridge)
    if vif.openvswitch and match:
        trunk = tuple(match["trunk"].split(":")[1:])
        vif = replace(vif, bridge=match["name"], tag=match["tag"] or "", trunk=trunk)
    return vif


def _word(key: str, value: str) -> dict[str, Any]:
    return {key: value}  # the other fields, which are no strings, are set by name


def _rate(value: str, text: str) -> int:
    """Read 10Mb/s (bits) or 250KB/s (bytes), by thousands as xl counts, as KiB a second."""
    match = _RATE.fullmatch(value)
    if not match:
        raise InvalidSource(
            f"The interface '{text}' has the rate '{value}', which is none.",
            hint="See xl-network-configuration(5): rate=10Mb/s, rate=250KB/s, rate=1GB/s@20ms.",
        )
    size = int(match[1]) * 1000 ** ("KMG".index(match[2]) + 1 if match[2] else 0)
    return max(1, int(size // 8 if match[3] == "b" else size) // 1024)
