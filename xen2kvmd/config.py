# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration file, in the syntax of systemd's (systemd.syntax(7)).

A mistake is refused with file and line: a limit that was mistyped must not be taken for none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

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


@dataclass(frozen=True)
class _Line:
    place: str  # FILE:LINE
    section: str
    key: str
    value: str


def load(path: Path = FILE) -> Limits:
    """Read the file and FILE.d/*.conf, in the order of their names; later ones win.

    A file that is missing is empty. Raises InvalidConfig.
    """
    limits = Limits()
    for file in (path, *sorted(path.with_name(path.name + ".d").glob("*.conf"))):
        for line in _lines(file):
            limits = replace(limits, **_setting(line))
    return limits


def _lines(path: Path) -> Iterator[_Line]:
    section = ""
    for number, text in enumerate(_read(path).splitlines(), 1):
        place, line = f"{path}:{number}", text.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1]
            if section not in {known for known, _ in KEYS}:
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


_DEFAULTS: Mapping[str, int] = asdict(Limits())
_HINT = "See xen2kvmd.conf(5)."
