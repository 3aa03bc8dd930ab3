# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration file, in the syntax of systemd's (systemd.syntax(7)).

A mistake is refused with file and line: a limit that was mistyped must not be taken for none.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xen2kvmd.errors import InvalidConfig
from xen2kvmd.model import Limits

FILE = Path("/etc/xen2kvm/xen2kvmd.conf")
LARGEST = 64 << 10

# Section, key: the field of Limits, the least and the most that it may be.
KEYS: Mapping[tuple[str, str], tuple[str, int, int]] = {
    ("Queue", "MaxJobs"): ("at_once", 1, 64),
    ("Queue", "MaxJobsPerSource"): ("source", 0, 64),
    ("Queue", "MaxJobsPerTarget"): ("target", 0, 64),
    ("Jobs", "KeepJobs"): ("kept", 0, 1_000_000),
    ("Jobs", "KeepDays"): ("days", 0, 36_500),
}

# Key of a [Host NAME]: the field of HostOptions, what its values look like, and this in words. They
# become arguments of ssh, which shall not take them for others.
HOST_KEYS: Mapping[str, tuple[str, str, str]] = {
    "User": ("user", r"(?!-)[A-Za-z0-9._-]+", "a user's name"),
    "Port": ("port", r"[1-9][0-9]{0,4}", "a number from 1 to 65535"),
    "IdentityFile": ("identity_file", r"/[^\s\"%\\]+", "a full path without spaces"),
    "ProxyJump": ("proxy_jump", r"(?!-)[A-Za-z0-9._:@,\[\]/-]+", "USER@HOST:PORT, or several"),
    "RateLimit": ("rate_limit", r"[1-9][0-9]{0,14}", "a number of bytes"),
}
_HOST = re.compile(r"Host (?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])")


@dataclass(frozen=True)
class HostOptions:
    """How another host is reached, "" or 0 where nothing is said. A rate is in bytes per second."""

    user: str = ""
    port: int = 0
    identity_file: str = ""
    proxy_jump: str = ""
    rate_limit: int = 0


@dataclass(frozen=True)
class _Line:
    place: str  # FILE:LINE
    section: str
    key: str
    value: str

    @property
    def host(self) -> str:
        """The host that the section is of, "" for another section."""
        found = _HOST.fullmatch(self.section)
        return found["name"].strip("[]").lower() if found else ""


def load(path: Path = FILE) -> Limits:
    """Read the file and FILE.d/*.conf, in the order of their names; later ones win.

    A file that is missing is empty. Raises InvalidConfig.
    """
    limits = Limits()
    for line in _all(path):
        if line.host:
            _host_setting(line)  # better refused now than by a job
        else:
            limits = replace(limits, **_setting(line))
    return limits


def host(name: str, path: Path = FILE) -> HostOptions:
    """Read what the files say of a host, by the name or address that a job has for it."""
    options = HostOptions()
    for line in _all(path):
        if line.host == name.lower():
            options = replace(options, **_host_setting(line))
    return options


def hosts(path: Path = FILE) -> str:
    """Return what the files say of all hosts, as the text of one file. Raises InvalidConfig."""
    said: dict[str, dict[str, str]] = {}
    for line in _all(path):
        if line.host:
            _host_setting(line)
            name = line.section.removeprefix("Host ").lower()
            said.setdefault(f"[Host {name}]", {})[line.key] = line.value
    lines = [
        line
        for section, keys in said.items()
        for line in (section, *(f"{key}={value}" for key, value in keys.items()))
    ]
    text = "".join(f"{line}\n" for line in lines)
    if len(text) > LARGEST:
        raise InvalidConfig(f"{path} says more than {LARGEST} bytes of hosts.", hint=_HINT)
    return text


def _all(path: Path) -> Iterator[_Line]:
    for file in (path, *sorted(path.with_name(path.name + ".d").glob("*.conf"))):
        yield from _lines(file)


def _lines(path: Path) -> Iterator[_Line]:
    section = ""
    for number, text in enumerate(_read(path).splitlines(), 1):
        place, line = f"{path}:{number}", text.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1]
            if section not in {known for known, _ in KEYS} and not _HOST.fullmatch(section):
                raise InvalidConfig(f"{place}: there is no section [{section[:64]}].", hint=_HINT)
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise InvalidConfig(f"{place}: '{line[:64]}' is not KEY=VALUE.", hint=_HINT)
        yield _Line(place, section, key.strip(), value.strip())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise InvalidConfig(f"{path} is longer than {LARGEST} bytes.", hint=_HINT)
        return data.decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{path} cannot be read: {error}.", hint=_HINT) from error


def _setting(line: _Line) -> dict[str, int]:
    """Return what a line sets; no value sets the default again."""
    known = KEYS.get((line.section, line.key))
    if known is None:
        where = f"the section [{line.section}]" if line.section else "a line before any section"
        raise InvalidConfig(f"{line.place}: {where} has no key {line.key[:64]}.", hint=_HINT)
    field, least, most = known
    if not line.value:
        return {field: _DEFAULTS[field]}
    digits = line.value.isascii() and line.value.isdigit() and len(line.value) < 10
    if not digits or not least <= int(line.value) <= most:
        raise InvalidConfig(
            f"{line.place}: {line.key}={line.value[:64]} is no number from {least} to {most}.",
            hint=_HINT,
        )
    return {field: int(line.value)}


def _host_setting(line: _Line) -> dict[str, Any]:
    known = HOST_KEYS.get(line.key)
    if known is None:
        what = f"{line.place}: the section [{line.section}] has no key {line.key[:64]}."
        raise InvalidConfig(what, hint=_HINT)
    field, form, words = known
    default = getattr(HostOptions, field)
    if not line.value:
        return {field: default}
    if not re.fullmatch(form, line.value) or (line.key == "Port" and int(line.value) > 65535):
        raise InvalidConfig(
            f"{line.place}: {line.key}={line.value[:64]} is not allowed here.",
            hint=f"{line.key} takes {words}. {_HINT}",
        )
    return {field: type(default)(line.value)}


_DEFAULTS: Mapping[str, int] = asdict(Limits())
_HINT = "See xen2kvmd.conf(5)."
