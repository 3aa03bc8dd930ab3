# SPDX-License-Identifier: GPL-2.0-or-later
"""What was asked for makes a migration longer, and --finish-by goes by that."""

from dataclasses import replace

import pytest

from xen2kvmd import estimate
from xen2kvmd.model import Operation, Request

PLAIN = Request(Operation.MIGRATE, "/srv/web1.xml")
DATA = 30 * estimate.RATE  # copied in 30 seconds, and compared in 30
FIXED = estimate.TO_CONVERT[True] + estimate.TO_BOOT[True]


def downtime(request: Request, *, runs: bool = False, limit: int = 0) -> int:
    return estimate.downtime(request, DATA, kvm=True, runs=runs, limit=limit)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (PLAIN, 60),
        (replace(PLAIN, in_place=True), 0),
        (replace(PLAIN, backup_disks="/srv/backups"), 120),
        (replace(PLAIN, backup_disks="/srv/backups", in_place=True), 60),
        (replace(PLAIN, start=False), 60 - estimate.TO_BOOT[True]),
        (replace(PLAIN, verify=False), 60 - estimate.TO_BOOT[True]),
    ],
)
def test_it_counts_what_is_done(asked: Request, seconds: int) -> None:
    assert downtime(asked) == FIXED + seconds


def test_a_limited_rate_holds_the_copy_up_and_not_the_comparison() -> None:
    assert downtime(PLAIN, limit=estimate.RATE // 10) == FIXED + 300 + 30
    assert downtime(PLAIN, limit=estimate.RATE * 10) == FIXED + 60


def test_a_guest_that_runs_has_to_shut_down() -> None:
    assert downtime(PLAIN, runs=True) == FIXED + 60 + estimate.TO_SHUT_DOWN
    assert downtime(replace(PLAIN, shutdown_timeout=5), runs=True) == FIXED + 60 + 5


def test_emulation_takes_longer() -> None:
    assert estimate.downtime(PLAIN, 0, kvm=False, runs=False, limit=0) > FIXED
