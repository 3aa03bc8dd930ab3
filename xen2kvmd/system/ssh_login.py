# SPDX-License-Identifier: GPL-2.0-or-later
"""How ssh(1) reaches another host, ssh://USER@HOST:PORT?keyfile=/PATH, and what is told if not.

The configuration of root's ssh says it, xen2kvmd.conf(5) more of a host, and the address itself
most. What a person is told to type is made of the same: it gets where we get.
"""

import re
import shlex
from urllib.parse import parse_qsl, urlsplit

from xen2kvmd import config
from xen2kvmd.errors import ConnectionFailed, HostKeyUnknown, MigrationError, SourceAuthFailed
from xen2kvmd.words import one_line

CONFIG = config.FILE
_KEYFILE = "KEYFILE"  # the query of a source is its caller's alone, and everybody reads a hint
_HOST_KEY = ("Host key verification failed", "HOST IDENTIFICATION HAS CHANGED")
_OLD = {  # what ssh(1) does not do any more, as it says it, and its option that brings it back
    "host key type": "HostKeyAlgorithms",
    "key exchange method": "KexAlgorithms",
    "cipher": "Ciphers",
    "MAC": "MACs",
}
_NO_MATCH = re.compile(rf"no matching ({'|'.join(_OLD)}) found(?:.*?Their offer: ([\w@.-]+))?")
_REFUSED = ("Permission denied (", "Too many authentication failures")


def options_of(address: str) -> list[str]:
    """Return what ssh is told of a host, with -o, beside its bare address."""
    parts, said = urlsplit(address), _configured(address)
    keyfile = _keyfile(address) or said.identity_file
    chosen = [f"IdentityFile={keyfile}"] if keyfile else []
    chosen += [f"User={said.user}"] if said.user and parts.username is None else []
    chosen += [f"Port={said.port}"] if said.port and parts.port is None else []
    chosen += [f"ProxyJump={said.proxy_jump}"] if said.proxy_jump else []
    return chosen


def login_of(address: str) -> str:
    """Return what a person types to log in; KEYFILE stands for the key that the address names."""
    parts, said = urlsplit(address), _configured(address)
    host = re.sub(r":\d+$", "", parts.netloc.rpartition("@")[2]).strip("[]")
    user, port = parts.username or said.user, parts.port or said.port
    keyfile = _KEYFILE if _keyfile(address) else said.identity_file
    words = ["ssh"]
    words += ["-i", keyfile] if keyfile else []
    words += ["-J", said.proxy_jump] if said.proxy_jump else []
    words += [f"{user}@{host}" if user else host]
    words += ["-p", str(port)] if port else []
    return shlex.join(words)


def rate_limit(address: str) -> int:
    """Return how many bytes per second may be copied from or to a host; 0 for no limit."""
    return _configured(address).rate_limit


def refusal(address: str, said: str) -> MigrationError | None:
    """Return the error for a host that ssh did not get into, by what ssh said; it has no codes."""
    host, login = urlsplit(address).netloc, login_of(address)
    if any(words in said for words in _HOST_KEY):
        return HostKeyUnknown(
            f"The key of the host {host} is not known to root's ssh, or not the one that it knows.",
            hint=f"Log in once as root from this host, compare the fingerprint, and accept it: "
            f"{login}. If the key has changed, find out why before you remove the old one.",
        )
    if any(words in said for words in _REFUSED):
        return SourceAuthFailed(
            f"The host {host} refused the login: {one_line(said)}.",
            hint="Nobody is asked for a password: put the public key of root of this host there, "
            f"and see that this works as root: {login}. An sshd before 7.2 (RHEL 5 and 6, SLES 11) "
            "takes no key of RSA from the ssh of today: have one of ed25519 (before 6.5: ecdsa"
            f"), or {_in_configuration(address, 'PubkeyAcceptedAlgorithms +ssh-rsa')}.",
        )
    if (match := _NO_MATCH.search(said)) and (offer := match[2]):
        line = f"{_OLD[match[1]]} +{offer}"
        return ConnectionFailed(
            f"The host {host} offers no {match[1]} that the ssh of this host has switched on, but "
            f"{offer}: its sshd is old.",
            hint=f"If you trust it, {_in_configuration(address, line)}. See that this works as "
            f"root: {login}",
        )
    return None


def _in_configuration(address: str, line: str) -> str:
    """Return where a line goes that ssh needs for a host: our ssh, and libvirt's, are root's."""
    name = urlsplit(address).netloc.rpartition("@")[2]
    host = re.sub(r":\d+$", "", name).strip("[]")
    return f"put the lines 'Host {host}' and '{line}' into /root/.ssh/config"


def unreachable(address: str, said: str) -> MigrationError:
    """Return the error for a host that ssh did not get into, or lost."""
    return refusal(address, said) or ConnectionFailed(
        f"The host {urlsplit(address).netloc} cannot be reached: {one_line(said)}.",
        hint=f"See that this works as root, without a question: {login_of(address)}",
    )


def _keyfile(address: str) -> str:
    return dict(parse_qsl(urlsplit(address).query)).get("keyfile", "")


def _configured(address: str) -> config.HostOptions:
    return config.host(urlsplit(address).hostname or "", CONFIG)
