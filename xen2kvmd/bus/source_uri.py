# SPDX-License-Identifier: GPL-2.0-or-later
"""The URI of a source, as callers give it and as everybody may see it."""

from urllib.parse import urlsplit

from xen2kvmd.bus.values import MAX_STRING
from xen2kvmd.errors import InvalidSource


def check_source(source: str) -> None:
    """Raise InvalidSource for what is no URI, or one that gives a password away."""
    if not source.isprintable() or len(source.encode()) > MAX_STRING:
        raise InvalidSource(
            "The source holds characters that cannot be printed, or is too long.",
            hint="Give a URI as libvirtxml:/path/to/guest.xml.",
        )
    try:
        parts = urlsplit(source)
        password = parts.password
    except ValueError as error:
        raise InvalidSource(f"The source '{source}' is no URI: {error}.") from error
    if not parts.scheme:
        raise InvalidSource(
            f"The source '{source}' is no URI.", hint="Example: libvirtxml:/path/to/guest.xml."
        )
    if password is not None:
        raise InvalidSource(
            "The source holds a password, which everybody could read.",
            hint="Use a key that the ssh of root knows.",
        )


def public(source: str) -> str:
    """Return a source as everybody may see it: without user and query."""
    parts = urlsplit(source)
    if not parts.netloc:
        return source
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
