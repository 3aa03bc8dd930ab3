# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and strange text in words."""

import re
from datetime import datetime

LINE = 800  # characters of a program's output that a message shows

# Controls but tab and line feed; characters that turn the direction of writing, so that a name
# reads as another (Unicode TR 36, 2.3); halves of characters, and what XML 1.0 (2.2) forbids.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78cDEHM])|[\x00\r\x07]")


def printable(text: str) -> str:
    """Return text that does nothing to a terminal or a page: a guest's files may hold anything."""
    return _CONTROL.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return the end of what a program printed as one line, for a message."""
    return " ".join(printable(text).split())[-LINE:]


def without_escapes(text: str) -> str:
    """Return console output without escape sequences and carriage returns."""
    return _ESCAPE.sub("", text)


def amount(count: float) -> str:
    """Return a number of bytes for people: 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Return a time span for people: 2:05, or 1:02:05 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def letters(number: int) -> str:
    """Count in letters as the kernel does: 0 is "a", 25 "z", 26 "aa"."""
    name = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        name = chr(ord("a") + digit) + name
    return name


def moment(microseconds: int) -> str:
    """Return a point in time in local time; "-" where it has not come."""
    if not microseconds:
        return "-"
    return f"{datetime.fromtimestamp(microseconds / 1e6).astimezone():%Y-%m-%d %H:%M:%S}"
