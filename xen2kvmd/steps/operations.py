# SPDX-License-Identifier: GPL-2.0-or-later
"""Which steps an operation has, in order. An engine is another tuple."""

from dataclasses import replace

from xen2kvmd.jobs.step import Step
from xen2kvmd.model import Operation
from xen2kvmd.steps.backup import BACKUP
from xen2kvmd.steps.backup_disks import BACKUP_DISKS
from xen2kvmd.steps.compare import COMPARE
from xen2kvmd.steps.convert import CONVERT
from xen2kvmd.steps.copy import COPY
from xen2kvmd.steps.define import DEFINE
from xen2kvmd.steps.disks import explained
from xen2kvmd.steps.finalize import FINALIZE
from xen2kvmd.steps.find import FIND
from xen2kvmd.steps.guests import GUESTS
from xen2kvmd.steps.hooks import hooks_step
from xen2kvmd.steps.inspect import INSPECT
from xen2kvmd.steps.plan import PLAN
from xen2kvmd.steps.reserve import RESERVE
from xen2kvmd.steps.restore import RESTORE
from xen2kvmd.steps.rollback import ROLLBACK
from xen2kvmd.steps.set_aside import SET_ASIDE, THROW_AWAY
from xen2kvmd.steps.shutdown import SHUTDOWN, START_AGAIN
from xen2kvmd.steps.start import START
from xen2kvmd.steps.storage import STORAGE
from xen2kvmd.steps.verify import VERIFY

NATIVE = (
    INSPECT,
    PLAN,
    hooks_step("pre-migrate"),
    STORAGE,
    BACKUP,
    RESERVE,
    SHUTDOWN,
    hooks_step("post-shutdown"),
    BACKUP_DISKS,
    CONVERT,
    SET_ASIDE,
    COPY,
    COMPARE,
    DEFINE,
    hooks_step("post-define"),
    START,
    VERIFY,
    hooks_step("post-migrate"),
    THROW_AWAY,
)

ONLY_BACKUP = (FIND, RESERVE, SHUTDOWN, replace(BACKUP_DISKS, weight=20), START_AGAIN)

# A step that reads the source's disks may find them gone with the connection to their host.
STEPS: dict[Operation, tuple[Step, ...]] = {
    Operation.GUESTS: (GUESTS,),
    Operation.INSPECT: (explained(INSPECT),),
    Operation.PLAN: (explained(INSPECT), explained(PLAN)),
    Operation.MIGRATE: tuple(map(explained, NATIVE)),
    Operation.ROLLBACK: ROLLBACK,
    Operation.FINALIZE: FINALIZE,
    Operation.BACKUP: tuple(map(explained, ONLY_BACKUP)),
    Operation.RESTORE: RESTORE,
}
