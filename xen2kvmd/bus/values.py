# SPDX-License-Identifier: GPL-2.0-or-later
"""The values of options, read: from a D-Bus value of the right type to ours.

Each reader takes the option's key, for its error, and the value; it raises InvalidOption.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from xen2kvmd.bus import keys, networks, paths
from xen2kvmd.errors import InvalidName, InvalidOption

MAX_ITEMS = 64
MAX_STRING = 4096  # bytes
MAX_DOCUMENT = 1 << 20  # bytes
MAX_NAME = 255  # characters of a domain's name

Reader = Callable[[str, Any], object]


def text(key: str, value: str, *, limit: int = MAX_STRING) -> str:
    """Return a string that can be printed on a line. Raises InvalidOption."""
    if len(value.encode("utf-8", "replace")) > limit:
        raise InvalidOption(f"The option '{key}' is longer than {limit} bytes.")
    if not value.isprintable():
        raise InvalidOption(f"The option '{key}' holds characters that cannot be printed.")
    return value


def pool(key: str, value: str) -> str:
    """Return the name of a storage pool. An empty one is a mistake: nothing must go elsewhere."""
    if not value:
        raise InvalidOption(
            f"The option '{key}' is empty.", hint="Name a storage pool, or leave it out."
        )
    return text(key, value)


def domain_name(value: str) -> str:
    """Return the name of a guest; an empty one means that the caller left it open."""
    if not value.isprintable() or "/" in value or value in (".", "..") or len(value) > MAX_NAME:
        shown = value[:MAX_NAME].encode("unicode_escape").decode()
        raise InvalidName(
            f"A guest cannot be called '{shown}'.",
            hint=f"A name has up to {MAX_NAME} printable characters and no slash.",
        )
    return value


def name(_key: str, value: str) -> str:
    """Return the name of a guest, as domain_name does."""
    return domain_name(value)


def document(key: str, value: str) -> str:
    """Return the text of a guest's description."""
    if len(value.encode("utf-8", "replace")) > MAX_DOCUMENT:
        raise InvalidOption(f"The option '{key}' is longer than {MAX_DOCUMENT} bytes.")
    return value


def matching(key: str, value: str, *, pattern: str, says: str) -> str:
    """Return a string of a pattern; says puts the pattern into words."""
    if not re.fullmatch(pattern, value):
        raise InvalidOption(f"The option '{key}' is '{text(key, value)}'; it has to be {says}.")
    return value


def one_of(key: str, value: str, *, choices: type[StrEnum]) -> StrEnum:
    """Return one of a few words."""
    if value not in list(choices):
        raise InvalidOption(
            f"The option '{key}' is '{text(key, value)}'.", hint=f"It is {_or(list(choices))}."
        )
    return choices(value)


def full_path(key: str, value: str) -> str:
    """Return a full path without dot-dot."""
    if not value.startswith("/") or ".." in value.split("/"):
        raise InvalidOption(f"The option '{key}' has to be a full path without '..'.")
    return text(key, value)


def backup_name(key: str, value: str) -> str:
    """Return the name of a backup in a pool, with which the names of its files begin."""
    if not value or "/" in value:
        raise InvalidOption(f"With a pool, '{key}' has to be the name of a backup in it.")
    return text(key, value)


def nfs_export(key: str, value: str) -> str:
    """Return what an NFS server exports: HOST:/DIR."""
    host, colon, directory = value.rpartition(":/")
    if not colon or not re.fullmatch(r"[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\]", host, re.ASCII):
        raise InvalidOption(
            f"The option '{key}' is '{text(key, value)}'.", hint="It is HOST:/DIR, as in nas1:/vm."
        )
    full_path(key, f"/{directory}")
    return value


def between(key: str, value: int, *, least: int, most: int) -> int:
    """Return a number from least to most."""
    if not least <= value <= most:
        raise InvalidOption(f"The option '{key}' is {value}; it goes from {least} to {most}.")
    return value


def power_of_two(key: str, value: int, *, least: int, most: int) -> int:
    """Return a power of two from least to most."""
    if between(key, value, least=least, most=most).bit_count() != 1:
        raise InvalidOption(f"The option '{key}' is {value}; it has to be a power of two.")
    return value


def each(key: str, value: list[str], *, read: Reader) -> tuple[object, ...]:
    """Return the items of a list, each read."""
    if len(value) > MAX_ITEMS:
        raise InvalidOption(f"The option '{key}' has more than {MAX_ITEMS} items.")
    return tuple(read(key, item) for item in value)


def network_map(key: str, value: list[str]) -> object:
    """Return what NICs are connected to; bus/networks.py has the grammar."""
    return networks.parse(str(item) for item in each(key, value, read=text))


def path_map(key: str, value: list[str]) -> object:
    """Return where disks are read instead; bus/paths.py has the grammar."""
    return paths.parse(str(item) for item in each(key, value, read=text))


def disk_keys(key: str, value: list[str]) -> object:
    """Return what opens encrypted disks; bus/keys.py has the grammar."""
    return keys.parse(str(item) for item in each(key, value, read=text))


def handed_keys(key: str, value: list[Sequence[object]]) -> object:
    """Return what comes as file descriptors to open encrypted disks."""
    each(key, [str(selector) for selector, _ in value], read=text)
    return keys.parse_handed(value)


def disk_pools(key: str, value: list[str]) -> tuple[tuple[str, str], ...]:
    """Return pairs of a disk and its pool, from items DISK=POOL."""
    found = {}
    for item in each(key, value, read=text):
        disk, equals, pool = str(item).partition("=")
        if not (disk and equals and pool) or disk in found:
            raise InvalidOption(
                f"The option '{key}' holds '{item}'.", hint="Each item is DISK=POOL, a disk once."
            )
        found[disk] = pool
    return tuple(found.items())


def as_is(_key: str, value: object) -> object:
    """Return a value that its D-Bus type says all about."""
    return value


def _or(choices: list[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
