# SPDX-License-Identifier: GPL-2.0-or-later
"""The URI of a libvirt that guests come from, or go to.

What a URI may hold is listed, not what it may not: libvirt's own parameters run programs
(`command`, `netcat`), switch off the check of host keys, and ask on a terminal (libvirt.org,
"Connection URIs"). What ssh needs to know stands in the ssh configuration of root.
"""

import re
import shlex
from urllib.parse import parse_qsl, quote, urlsplit

from xen2kvmd.errors import MigrationError

_HOST = re.compile(r"(?!-)[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"(?!-)[A-Za-z0-9._-]+")


def is_remote(uri: str) -> bool:
    """Tell whether a libvirt is reached by ssh: its guests' disks are another host's."""
    return "+ssh:" in uri


def ssh_address(uri: str) -> str:
    """Return how ssh reaches a libvirt's host, ssh://USER@HOST:PORT?keyfile=/PATH; "" for ours."""
    if not is_remote(uri):
        return ""
    parts = urlsplit(uri)
    keys = [f"keyfile={quote(value)}" for key, value in parse_qsl(parts.query) if key == "keyfile"]
    return f"ssh://{parts.netloc}" + (f"?{keys[0]}" if keys else "")


def with_program(uri: str, program: str) -> str:
    """Return a URI for which libvirt starts this program in the place of ssh."""
    return f"{uri}{'&' if urlsplit(uri).query else '?'}command={quote(program)}"


def shown(uri: str) -> str:
    """Return a URI as everybody may read it: without a password or the path of a key."""
    return re.sub(r"(?<=//)([^/@:]*):[^/@]*@", r"\1:***@", uri.partition("?")[0])


def virsh(uri: str, *words: str) -> str:
    """Return what a person types to have virsh do it; "" is the libvirt of root's virsh."""
    return shlex.join(("virsh", *(("-c", shown(uri)) if uri else ()), *words))


def address(uri: str, *, what: str, error: type[MigrationError], hint: str) -> str:
    """Return a URI as libvirt shall have it. Raises the error for what is not to be opened.

    what says what it is of, "source", and hint how it should be written. Its scheme was looked at.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port  # a wrong one raises
    except ValueError as wrong:
        raise error(f"The {what} '{shown(uri)}' is no URI: {wrong}.") from wrong
    user, at, host = parts.netloc.rpartition("@")
    host = re.sub(r":\d+$", "", host)
    if (at and not _USER.fullmatch(user)) or bool(host) != is_remote(uri):
        raise error(f"The {what} '{shown(uri)}' names no host as it should.", hint=hint)
    if host and not _HOST.fullmatch(host):
        raise error(f"'{host}' cannot be the name of a host.", hint=hint)
    given = parse_qsl(parts.query, keep_blank_values=True)
    if parts.fragment or any(key != "keyfile" or value[:1] != "/" for key, value in given):
        raise error(
            f"The {what} '{shown(uri)}' has parameters that are not taken.",
            hint="Only keyfile=/PATH is; all else belongs into the ssh configuration of root.",
        )
    if not is_remote(uri):
        return uri
    query = "".join(f"keyfile={quote(value)}&" for _, value in given) + "no_tty=1"
    return parts._replace(query=query).geturl()
