# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and times on the command line."""

from argparse import ArgumentTypeError
from datetime import datetime, time, timedelta


def count(text: str) -> int:
    """Read a number of things, 0 or more."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ArgumentTypeError(f"'{text}' is no number")
    return int(text)


def size(text: str) -> int:
    """Read a number of bytes: 65536, 64K, 50M, 1G; K is 1024."""
    digits, unit = text.rstrip("KMGkmg"), text[len(text.rstrip("KMGkmg")) :].upper()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12 or len(unit) > 1:
        raise ArgumentTypeError(f"'{text}' is no size as 65536, 64K, 50M or 1G")
    return int(digits) << 10 * " KMG".index(unit or " ")


def seconds(text: str) -> int:
    """Read a time limit in seconds, up to a day."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 86400:
        raise ArgumentTypeError(f"'{text}' is no number of seconds from 1 to 86400")
    return int(text)


def moment(text: str) -> int:
    """Read a local time as microseconds since the epoch; without a day, the next time it is so."""
    now = datetime.now().astimezone()
    try:
        if "T" in text or " " in text:
            return _microseconds(datetime.fromisoformat(text).astimezone())
        when = datetime.combine(now.date(), time.fromisoformat(text)).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ArgumentTypeError(f"'{text}' is no time as 22:00 or 2026-12-01T22:00") from None
    return _microseconds(when if when > now else when + timedelta(days=1))


def _microseconds(when: datetime) -> int:
    return int(when.timestamp() * 1_000_000)
