# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and strange text in words."""

import re
from datetime import datetime

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """Return text that does nothing to a terminal: a guest's files may hold escape sequences."""
    return _CONTROL.sub("\ufffd", text)


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


def moment(microseconds: int) -> str:
    """Return a point in time in local time; "-" where it has not come."""
    if not microseconds:
        return "-"
    return f"{datetime.fromtimestamp(microseconds / 1e6).astimezone():%Y-%m-%d %H:%M:%S}"
