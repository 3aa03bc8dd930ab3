# SPDX-License-Identifier: GPL-2.0-or-later
"""How much the service logs, changed while it runs: `systemctl service-log-level xen2kvmd debug`.

The interface is systemd's (org.freedesktop.LogControl1(5)). Jobs have processes of their own, which
log everything.
"""

import logging
from collections.abc import Mapping
from typing import Any

from xen2kvmd.bus.contract import LOG_CONTROL
from xen2kvmd.bus.fault import fault
from xen2kvmd.bus.polkit import Action
from xen2kvmd.bus.service import Call, Guarded, Handler

TARGET = "console"  # standard error, which systemd gives to the journal
LEVELS = {  # syslog(3)'s, from the most to the least
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "err": logging.ERROR,
    "crit": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "emerg": logging.CRITICAL,
}


class LogControl:
    """The level of our log, which can be set, and where it goes, which cannot."""

    path = "/org/freedesktop/LogControl1"
    interface = LOG_CONTROL
    handlers: Mapping[str, Handler] = {}

    def __init__(self) -> None:
        self.setters: Mapping[str, Handler] = {
            "LogLevel": self._set_level,
            "LogTarget": self._set_target,
        }

    def properties(self) -> Mapping[str, object]:
        level = logging.getLogger().level
        named = (name for name, number in LEVELS.items() if number >= level)
        return {
            "LogLevel": next(named, "emerg"),
            "LogTarget": TARGET,
            "SyslogIdentifier": "xen2kvmd",
        }

    def _set_level(self, _call: Call, value: str) -> Guarded:
        if value not in LEVELS:
            raise fault("InvalidArgs", f"There is no log level of this name: {', '.join(LEVELS)}.")

        async def do() -> list[Any]:
            logging.getLogger().setLevel(LEVELS[value])
            return []

        return Guarded(Action.MANAGE_JOBS, do)

    def _set_target(self, _call: Call, value: str) -> Guarded:
        if value != TARGET:
            raise fault("InvalidArgs", f"The log goes to '{TARGET}', and nowhere else.")

        async def do() -> list[Any]:
            return []

        return Guarded(Action.MANAGE_JOBS, do)
