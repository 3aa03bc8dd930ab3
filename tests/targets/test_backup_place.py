# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a backup may go: to one place, and not to none."""

import pytest

from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import Operation, Request
from xen2kvmd.targets.backups import check_backup


def test_a_backup_goes_to_one_place() -> None:
    check_backup(Request(Operation.BACKUP, "xen:///system", backup_pool="backups"))
    check_backup(Request(Operation.BACKUP, "xen:///system", backup_disks="/srv"))
    check_backup(Request(Operation.MIGRATE, "xen:///system"))
    with pytest.raises(InvalidOption, match="No place"):
        check_backup(Request(Operation.BACKUP, "xen:///system"))
    both = Request(Operation.MIGRATE, "xen:///s", backup_disks="/srv", backup_pool="backups")
    with pytest.raises(InvalidOption, match="exclude each other"):
        check_backup(both)
