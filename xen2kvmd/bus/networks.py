# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar of the option network-map: which NIC is connected to what.

    item = match "=" new
    match = "any" | name | ("bridge" | "network") ":" name | "mac" ":" address
    new = ("bridge" | "network") ":" name

A name alone matches a bridge and a network of that name, "any" all NICs; the first item that
matches a NIC wins. Example: ["mac:00:16:3e:00:00:01=bridge:br1", "xenbr0=bridge:br0",
"any=network:default"].
"""

import re
from collections.abc import Iterable, Iterator

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import LinkKind, NicMap

_NAME = re.compile(r"[\w.:-][\w.:+ -]{0,254}")
_ADDRESS = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_HINT = "Write for example 'xenbr0=bridge:br0', or 'any=network:default' for all."


def parse(items: Iterable[str]) -> tuple[NicMap, ...]:
    """Return what the items of a network-map say. Raises InvalidOption."""
    return tuple(link for item in items for link in _parse(item))


def _parse(item: str) -> Iterator[NicMap]:
    match, _, new = item.rpartition("=")
    kind, _, name = new.partition(":")
    if kind not in list(LinkKind) or not _NAME.fullmatch(name):
        raise _wrong(item, "what to connect to is neither bridge:NAME nor network:NAME")
    for key, old in _matches(item, match):
        yield NicMap(key, old, LinkKind(kind), name)


def _matches(item: str, match: str) -> tuple[tuple[str, str], ...]:
    if match == "any":
        return (("any", ""),)
    key, colon, old = match.partition(":")
    if colon and key == "mac":
        if not _ADDRESS.fullmatch(old.lower()):
            raise _wrong(item, f"'{old}' is no MAC address")
        return (("mac", old.lower()),)
    if not (colon and key in list(LinkKind)):
        key, old = "", match
    if not _NAME.fullmatch(old):
        raise _wrong(item, "what to match is neither a name, bridge:, network:, mac: nor any")
    return ((key, old),) if key else (("bridge", old), ("network", old))


def _wrong(item: str, why: str) -> InvalidOption:
    return InvalidOption(f"The network-map item '{item}' cannot be read: {why}.", hint=_HINT)
