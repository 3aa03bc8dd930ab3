# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may do what: polkit decides."""

import asyncio
import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from xen2kvmd.bus.callers import Callers
from xen2kvmd.bus.connection import Connection
from xen2kvmd.bus.fault import BusError, fault
from xen2kvmd.bus.library import Variant
from xen2kvmd.errors import LimitExceeded, NotAuthorizedDismissed

log = logging.getLogger(__name__)

POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = "/org/freedesktop/PolicyKit1/Authority"
AUTHORITY_INTERFACE = POLKIT + ".Authority"

PENDING = 64  # checks at once: each uses one of the 128 replies that the bus lets us wait for
PENDING_PER_USER = 16
PATIENCE = 300.0  # seconds for a person to answer a dialog
QUICK = 25.0  # seconds for polkit to answer when it may not ask

_ALLOW_USER_INTERACTION = 1


class Action(StrEnum):
    """What guards a method: an action of polkit, or one of two words of ours."""

    NONE = "none"  # anybody may: it tells what everybody may know
    OWNER = "owner"  # the job's owner may, and polkit is not asked
    INSPECT = "org.xen2kvm.inspect"
    CONVERT = "org.xen2kvm.convert"
    MIGRATE = "org.xen2kvm.migrate"
    INSPECT_PATHS = "org.xen2kvm.inspect-paths"
    MIGRATE_PATHS = "org.xen2kvm.migrate-paths"
    OVERWRITE = "org.xen2kvm.overwrite"
    ROLLBACK = "org.xen2kvm.rollback"
    FINALIZE = "org.xen2kvm.finalize"
    CANCEL = "org.xen2kvm.cancel"
    CANCEL_OTHERS = "org.xen2kvm.cancel-others"
    READ_LOG_OTHERS = "org.xen2kvm.read-log-others"
    MANAGE_JOBS = "org.xen2kvm.manage-jobs"


class Authority:
    """Asks polkit."""

    def __init__(self, connection: Connection, callers: Callers) -> None:
        self._connection = connection
        self._callers = callers
        self._pending: Counter[int] = Counter()
        self._ids = itertools.count(1)

    async def check(
        self, sender: str, action: Action, details: Mapping[str, str], *, uid: int, ask: bool
    ) -> None:
        """Return if the caller may do it; ask says whether polkit may show a dialog.

        Root may do anything, even without polkit. Raises AccessDenied,
        InteractiveAuthorizationRequired, TimedOut, NotAuthorizedDismissed, LimitExceeded.
        """
        if uid == 0:
            return
        with self._place(uid):
            checking = self._ask_polkit(sender, action, details, ask=ask)
            allowed, challenge, answers = await self._callers.while_there(sender, checking)
        if allowed:
            return
        log.info("User %d may not %s %s", uid, action, dict(details))
        if answers.get("polkit.dismissed"):
            raise NotAuthorizedDismissed("The authentication dialog was dismissed.")
        if challenge:
            raise fault(
                "InteractiveAuthorizationRequired",
                f"{action} needs authentication, and there is nobody to ask.",
            )
        raise fault("AccessDenied", f"You are not authorized for {action}.")

    async def _ask_polkit(
        self, sender: str, action: Action, details: Mapping[str, str], *, ask: bool
    ) -> tuple[bool, bool, Mapping[str, str]]:
        check_id = f"{os.getpid()}-{next(self._ids)}"
        subject = ["system-bus-name", {"name": Variant("s", sender)}]
        flags = _ALLOW_USER_INTERACTION if ask else 0
        try:
            body = await self._connection.call(
                POLKIT,
                AUTHORITY,
                AUTHORITY_INTERFACE,
                "CheckAuthorization",
                "(sa{sv})sa{ss}us",
                [subject, str(action), dict(details), flags, check_id],
                timeout=PATIENCE if ask else QUICK,
            )
        except TimeoutError:
            self._withdraw(check_id)
            raise fault("TimedOut", f"Nobody answered in time whether you may {action}.") from None
        except asyncio.CancelledError:
            self._withdraw(check_id)  # the dialog goes too
            raise
        except BusError as error:
            log.warning("polkit could not be asked for %s: %s", action, error)
            raise fault("AccessDenied", f"polkit could not be asked for {action}.") from error
        allowed, challenge, answers = body[0]
        return allowed, challenge, answers

    def _withdraw(self, check_id: str) -> None:
        self._connection.tell(
            POLKIT, AUTHORITY, AUTHORITY_INTERFACE, "CancelCheckAuthorization", check_id
        )

    @contextmanager
    def _place(self, uid: int) -> Iterator[None]:
        """Hold one of the places for checks. Raises LimitExceeded."""
        if self._pending[uid] >= PENDING_PER_USER or self._pending.total() >= PENDING:
            raise LimitExceeded(
                "Too many authentications are under way.", hint="Answer those first, or wait."
            )
        self._pending[uid] += 1
        try:
            yield
        finally:
            self._pending[uid] -= 1
            if not self._pending[uid]:
                del self._pending[uid]
