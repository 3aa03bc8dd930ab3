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

    Guests, their file names and the output of programs bring both. Mostly there are none, and the
    body is the same: to make all its variants anew takes as long as to make them.
    """
    return value if _is_clean(value) else _cleaned(value)


def _is_clean(value: Any) -> bool:
    if isinstance(value, str):
        return not _FORBIDDEN.search(value)
    if isinstance(value, Variant):
        return _is_clean(value.value)
    if isinstance(value, dict):
        return all(map(_is_clean, value)) and all(map(_is_clean, value.values()))
    if isinstance(value, list):
        return all(map(_is_clean, value))
    return not isinstance(value, tuple)  # which the library takes for no array


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return _FORBIDDEN.sub("\ufffd", value)
        case list() | tuple():
            return [_cleaned(item) for item in value]
        case dict():
            return {_cleaned(key): _cleaned(item) for key, item in value.items()}
        case Variant():
            return Variant(value.signature, _cleaned(value.value))
    return value


def unsigned(number: float) -> int:
    """Return a number as a D-Bus `t` can hold it."""
    return min(max(int(number), 0), _MAX_U64)


def strings(values: Mapping[str, object]) -> dict[str, Variant]:
    """Return a{sv} with a string for each value."""
    return {key: Variant("s", str(value)) for key, value in values.items()}


def findings(found: Iterable[Finding | Mapping[str, str]]) -> list[dict[str, Variant]]:
    """Return aa{sv}: id, message, severity, hint and place, each a string.

    What a guest or a program printed is not for everybody: the report has it.
    """
    return [_finding(asdict(item) if isinstance(item, Finding) else item) for item in found]


def _finding(item: Mapping[str, str]) -> dict[str, Variant]:
    return strings({key: value for key, value in item.items() if key != "said"})
