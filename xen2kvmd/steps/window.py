# SPDX-License-Identifier: GPL-2.0-or-later
"""--finish-by: a guest that would not be up again in time is not shut down."""

import time
from datetime import UTC, datetime

from xen2kvmd.errors import WindowMissed
from xen2kvmd.model import Request


def check(request: Request, *, needed: int) -> None:
    """Raise WindowMissed if the new guest would be up too late; needed is in seconds."""
    late = time.time() + needed - request.finish_by / 1e6
    if not request.finish_by or late <= 0:
        return
    end = datetime.fromtimestamp(request.finish_by / 1e6, UTC).astimezone()
    raise WindowMissed(
        f"The new guest would be up {late / 60:.0f} minutes after {end:%Y-%m-%d %H:%M}: it takes "
        f"about {needed / 60:.0f} minutes from now on.",
        hint="Begin earlier (--not-before), or let it be later (--finish-by). One that waited for "
        "others in the queue can be moved: xen2kvm priority.",
    )
