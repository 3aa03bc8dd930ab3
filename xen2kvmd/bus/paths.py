# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar of path-map: OLD=NEW, where NEW is a path of this host or ssh://USER@HOST:PORT/PATH.

OLD is a path, or what a single disk is called that has none: its target name, POOL/VOLUME, or
PROTOCOL:NAME.
"""

import re
from collections.abc import Iterable

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import PathMap

_OLD = re.compile(r"/.*|[a-z]{3,7}[0-9]{0,3}|[^/=]+[/:][^=]+")
_NEW = re.compile(
    r"(?P<host>ssh://(?:(?!-)[A-Za-z0-9._-]+@)?"
    r"(?:(?!-)[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)?(?P<path>/.*)"
)


def parse(items: Iterable[str]) -> tuple[PathMap, ...]:
    """Read items OLD=NEW, in their order. Raises InvalidOption."""
    return tuple(map(_parse, items))


def _parse(item: str) -> PathMap:
    old, _, new = item.partition("=")
    match = _NEW.fullmatch(new)
    if not _OLD.fullmatch(old) or not match or ".." in f"{old}/{new}".split("/"):
        raise InvalidOption(
            f"The path map '{item}' is not OLD=NEW.",
            hint="OLD is a full path, of a disk or a folder, or a disk's target name (xvda), "
            "POOL/VOLUME or PROTOCOL:NAME; NEW a full path of this host, or "
            "ssh://USER@HOST:PORT/PATH, without a password. Neither holds '..'.",
        )
    return PathMap(old, match["host"] or "", match["path"])
