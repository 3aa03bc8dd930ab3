# SPDX-License-Identifier: GPL-2.0-or-later
"""The D-Bus library: the only import of it in this package.

dbus-next is the one that we ship with. dbus-fast is its maintained descendant with the same names;
XEN2KVM_DBUS_LIBRARY=dbus_fast switches to it, and the tests of this package run on both.
"""

import os
from collections.abc import MutableMapping
from typing import Any

NAME = os.environ.get("XEN2KVM_DBUS_LIBRARY", "dbus_next")

if NAME == "dbus_next":
    from dbus_next import (
        BusType,
        Message,
        MessageFlag,
        MessageType,
        NameFlag,
        RequestNameReply,
        SignatureTree,
        Variant,
    )
    from dbus_next.aio import MessageBus
else:
    from dbus_fast import (  # type: ignore[assignment]
        BusType,
        Message,
        MessageFlag,
        MessageType,
        NameFlag,
        RequestNameReply,
        SignatureTree,
        Variant,
    )
    from dbus_fast.aio import MessageBus  # type: ignore[assignment]

__all__ = [
    "NAME",
    "BusType",
    "Message",
    "MessageBus",
    "MessageFlag",
    "MessageType",
    "NameFlag",
    "RequestNameReply",
    "Variant",
    "forget_signatures",
    "signatures_kept",
]

SIGNATURES = 1000  # that we let dbus-next remember

_cache: MutableMapping[str, Any] = getattr(SignatureTree, "_cache", {})


def signatures_kept() -> int:
    """Count the signatures that the library remembers."""
    return len(_cache)


def forget_signatures() -> None:
    """Forget the parsed signatures when there are many.

    dbus-next keeps each one that it ever saw, so any user could fill our memory with variants of
    ever new types.
    """
    if len(_cache) > SIGNATURES:
        _cache.clear()
