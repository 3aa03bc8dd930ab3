# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of methods: one table reads them and documents them.

An unknown key is refused, for a mistyped one must not migrate a guest in another way than was
meant. So is a value of another D-Bus type.
"""

import difflib
import textwrap
from collections.abc import Mapping
from typing import Any

from xen2kvmd.bus.fault import fault
from xen2kvmd.bus.library import Variant
from xen2kvmd.bus.option import Option
from xen2kvmd.bus.option_table import OPTIONS
from xen2kvmd.errors import InvalidOption

MAX_OPTIONS = 64

Values = Mapping[str, Any]

_PLACES = ("pool", "directory", "nfs_export", "in_place")


def taken_by(method: str) -> dict[str, Option]:
    """Return the options of a method by key."""
    return {option.key: option for option in OPTIONS if method in option.methods.split()}


def read(method: str, options: Mapping[str, Variant]) -> Values:
    """Return the values given, by the field of Request or else the key.

    Raises InvalidOption, InvalidName, or InvalidArgs for a value of the wrong D-Bus type.
    """
    if len(options) > MAX_OPTIONS:
        raise InvalidOption(f"There are {len(options)} options, and {MAX_OPTIONS} are allowed.")
    known = taken_by(method)
    found: dict[str, Any] = {}
    for key, variant in options.items():
        if key not in known:
            raise _unknown(method, key, known)
        option = known[key]
        if variant.signature != option.type:
            raise fault(
                "InvalidArgs",
                f"The option '{key}' has the D-Bus type {option.type}, not {variant.signature}.",
            )
        found[option.field or key] = option.read(key, variant.value)
    if len(given := [key for key in _PLACES if found.get(key)]) > 1:
        raise InvalidOption(
            f"These exclude each other: {', '.join(key.replace('_', '-') for key in given)}.",
            hint="Give one of them.",
        )
    if 0 < found.get("finish_by", 0) <= found.get("not_before", 0):
        raise InvalidOption("The option 'finish-by' is no later than 'not-before'.")
    return found


def document(method: str) -> str:
    """Return the documentation of a method's options, as the introspection XML has it."""
    lines = []
    for option in taken_by(method).values():
        says = textwrap.wrap(f"{option.key} ({option.type}): {option.says}", 84)
        lines += [says[0], *(f"  {line}" for line in says[1:])]
    return "\n".join(f"          {line}" for line in lines)


def _unknown(method: str, key: str, known: Mapping[str, Option]) -> InvalidOption:
    near = difflib.get_close_matches(key[:64], known, n=1, cutoff=0.0)
    shown = key[:64].encode("unicode_escape").decode()
    hint = f"Did you mean '{near[0]}'?" if near else f"{method} takes no options."
    return InvalidOption(f"{method} has no option '{shown}'.", hint=hint)
