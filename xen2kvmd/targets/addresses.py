# SPDX-License-Identifier: GPL-2.0-or-later
"""The addresses of the new guest's NICs: whether another guest of the target host has them."""

from collections.abc import Collection, Iterator

from xen2kvmd import xml
from xen2kvmd.model import Finding
from xen2kvmd.system.libvirt import Host

ID = "mac-in-use"  # of the finding


def shared(document: str, host: Host, *, besides: Collection[str]) -> Iterator[Finding]:
    """Find other domains with a MAC address of the new guest's: both on one network disturb it.

    libvirt defines such domains without a word. besides names the source, and what is replaced.
    """
    wanted = _addresses(document)
    if not wanted:
        return
    for domain in host.domains():
        if domain.name in besides:
            continue
        for address in sorted(wanted & _addresses(domain.described())):
            yield Finding(
                ID,
                f"The domain '{domain.name}' of the target host has the MAC address {address} of "
                "the new guest's too: on one network, neither can be relied upon.",
                hint="Is it another copy of this guest? If both are to run, choose new addresses "
                "with --mac new.",
            )


def _addresses(document: str) -> set[str]:
    if not document:
        return set()
    found = xml.parse(document).iterfind("devices/interface/mac")
    return {mac.get("address", "").lower() for mac in found} - {""}
