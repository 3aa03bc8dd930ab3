# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar of keys: SELECTOR:credential:NAME, or a SELECTOR beside a file descriptor.

The key itself is never an argument: what callers send so, others can read. Nor is its path: the
service would read it as root, and the caller may not be allowed to.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import DiskKey

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SELECTOR = re.compile(rf"all|/dev/[A-Za-z0-9/._+-]{{1,100}}|{_UUID}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


@dataclass(frozen=True)
class Handed:
    """A key that comes as a file descriptor.

    index is which of the message's descriptors, name is that of the job's secret it becomes.
    """

    selector: str
    index: int
    name: str


def parse(items: Iterable[str]) -> tuple[DiskKey, ...]:
    """Read credentials, in their order. Raises InvalidOption, without what may be a key."""
    return tuple(map(_credential, items))


def parse_handed(items: Iterable[Sequence[object]]) -> tuple[Handed, ...]:
    """Read pairs of a selector and the index of a descriptor. Raises InvalidOption."""
    return tuple(
        Handed(_selector("key-descriptors", str(selector)), int(str(index)), name=str(number))
        for number, (selector, index) in enumerate(items, 1)
    )


def _credential(item: str) -> DiskKey:
    selector, _, where = item.partition(":")
    kind, _, name = where.partition(":")
    _selector("keys", selector)
    if kind == "credential" and _CREDENTIAL.fullmatch(name):
        return DiskKey(selector, credential=name)
    if kind == "key":
        raise _wrong("keys", f"the key for {selector} is in it, where others can read it")
    after = f"after '{selector}:' it needs credential:NAME"
    raise _wrong("keys", f"{after} (on the command line also file:PATH or ask)")


def _selector(option: str, text: str) -> str:
    if not _SELECTOR.fullmatch(text):
        raise _wrong(
            option, "its selector is not 'all', a LUKS UUID, or a device such as /dev/xvda2"
        )
    return text


def _wrong(option: str, why: str) -> InvalidOption:
    return InvalidOption(
        f"A key of the option '{option}' cannot be used: {why}.",
        hint="Write all:credential:vm1, and put the passphrase into the credential xen2kvm.vm1 of "
        "systemd; or hand it over as a file descriptor (the option 'key-descriptors'), as xen2kvm "
        "does for all:file:PATH and all:ask.",
    )
