# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar of keys, which is virt-v2v's: SELECTOR:file:PATH, or SELECTOR:credential:NAME.

The key itself is never given: what callers send, others can read.
"""

import re
from collections.abc import Iterable

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import DiskKey

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SELECTOR = re.compile(rf"all|/dev/[A-Za-z0-9/._+-]{{1,100}}|{_UUID}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


def parse(items: Iterable[str]) -> tuple[DiskKey, ...]:
    """Read items, in their order. Raises InvalidOption, without what may be a key."""
    return tuple(map(_parse, items))


def _parse(item: str) -> DiskKey:
    selector, _, where = item.partition(":")
    kind, _, name = where.partition(":")
    if not _SELECTOR.fullmatch(selector):
        raise _wrong("what it is for is neither all, nor a UUID of LUKS, nor a device /dev/xvda2")
    if kind == "file" and name.startswith("/") and ".." not in name.split("/"):
        return DiskKey(selector, file=name)
    if kind == "credential" and _CREDENTIAL.fullmatch(name):
        return DiskKey(selector, credential=name)
    if kind == "key":
        raise _wrong(f"the key for {selector} is in it, where others can read it")
    raise _wrong(f"where the key for {selector} is, is neither file:PATH nor credential:NAME")


def _wrong(why: str) -> InvalidOption:
    return InvalidOption(
        f"A key of the option 'keys' cannot be used: {why}.",
        hint="Write for example all:file:/root/vm.key, with a full path of the target host; the "
        "file holds the passphrase.",
    )
