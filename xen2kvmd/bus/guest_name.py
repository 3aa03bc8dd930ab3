# SPDX-License-Identifier: GPL-2.0-or-later
"""The name of a guest, by which polkit's rules decide before anybody has looked at the source."""

import re
from pathlib import PurePath

from xen2kvmd.errors import InvalidName
from xen2kvmd.model import Operation, Request
from xen2kvmd.sources import FORMATS

_UUID = re.compile(r"(?:[\s-]*[0-9A-Fa-f]){32}[\s-]*")  # as libvirt reads one


def check_told(request: Request, *, uid: int) -> None:
    """Raise InvalidName where a rule about the guest's name would not see it.

    libvirt finds a guest by its UUID, too, and we the only one there is. Rules say nothing of what
    root does. A file is guarded by its path.
    """
    if uid == 0 or request.operation is Operation.GUESTS or _form(request) in FORMATS:
        return
    if not request.vm or _UUID.fullmatch(request.vm):
        raise InvalidName(
            "The guest has to be called by its name: authorisation depends on it.",
            hint="The names are those that 'xen2kvm guests' lists. Root may give the UUID, too.",
        )


def label(request: Request) -> str:
    """Return the guest's name as far as the call tells it; a list of guests is of none."""
    if request.operation is Operation.GUESTS:
        return ""
    return request.vm or PurePath(request.source.partition(":")[2]).stem


def _form(request: Request) -> str:
    return request.source.partition(":")[0]
