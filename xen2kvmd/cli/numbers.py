# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and times on the command line."""

from argparse import ArgumentTypeError
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta


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


@dataclass(frozen=True)
class Moment:
    """A local time that a user gave: of a day, or of the next day on which it is still to come."""

    day: date | None
    clock: time

    def after(self, begin: datetime) -> datetime:
        """Return when it is; a time without a day comes after begin.

        The day is added before the offset: a day on which the clocks change has no 24 hours.
        """
        if self.day:
            return self._on(self.day)
        today = begin.astimezone().date()
        when = self._on(today)
        return when if when > begin else self._on(today + timedelta(days=1))

    def _on(self, day: date) -> datetime:
        return datetime.combine(day, self.clock).astimezone()


def moment(text: str) -> Moment:
    """Read a local time, with a day or without."""
    try:
        if "T" in text or " " in text:
            given = datetime.fromisoformat(text)
            found = Moment(given.date(), given.timetz())
        else:
            found = Moment(None, time.fromisoformat(text))
        microseconds(found.after(datetime.now().astimezone()))
    except (ValueError, OverflowError, OSError):
        raise ArgumentTypeError(f"'{text}' is no time as 22:00 or 2026-12-01T22:00") from None
    return found


def microseconds(when: datetime) -> int:
    """Return a time as the service counts it."""
    return int(when.timestamp() * 1_000_000)
