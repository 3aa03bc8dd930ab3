# SPDX-License-Identifier: GPL-2.0-or-later
"""Our data as D-Bus values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from xen2kvmd.bus.library import Variant
from xen2kvmd.model import Finding

_FORBIDDEN = re.compile("[\0\ud800-\udfff]")  # a message with one of them ends our connection
_MAX_U64 = (1 << 64) - 1


def clean(value: Any) -> Any:
    """Return a message's body with U+FFFD for what no D-Bus string may hold: NUL and surrogates.

    Guests, their file names and the output of programs bring both.
    """
    match value:
        case str():
            return _FORBIDDEN.sub("\ufffd", value)
        case list() | tuple():
            return [clean(item) for item in value]
        case dict():
            return {clean(key): clean(item) for key, item in value.items()}
        case Variant():
            return Variant(value.signature, clean(value.value))
    return value


def unsigned(number: float) -> int:
    """Return a number as a D-Bus `t` can hold it."""
    return min(max(int(number), 0), _MAX_U64)


def strings(values: Mapping[str, object]) -> dict[str, Variant]:
    """Return a{sv} with a string for each value."""
    return {key: Variant("s", str(value)) for key, value in values.items()}


def findings(found: Iterable[Finding | Mapping[str, str]]) -> list[dict[str, Variant]]:
    """Return aa{sv}: id, message, severity, hint and place, each a string."""
    return [strings(asdict(item) if isinstance(item, Finding) else item) for item in found]
