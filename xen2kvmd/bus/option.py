# SPDX-License-Identifier: GPL-2.0-or-later
"""An option of a method, as its table has it."""

from dataclasses import dataclass

from xen2kvmd.bus import values


@dataclass(frozen=True)
class Option:
    """An option: its key on the bus, D-Bus type, the methods that take it, what it says.

    field is that of model.Request it sets, or the key where the method itself reads it.
    """

    key: str
    type: str
    methods: str
    says: str
    read: values.Reader = values.as_is
    field: str = ""
