# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors of D-Bus itself, beside those of errors.py."""

FREEDESKTOP = "org.freedesktop.DBus.Error."


class BusError(Exception):
    """An error with the name that it has on the bus."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


def fault(name: str, text: str) -> BusError:
    """Make a standard error by the last part of its name."""
    return BusError(FREEDESKTOP + name, text)


class CallerLeftError(Exception):
    """The caller left the bus: nobody waits for the reply."""
