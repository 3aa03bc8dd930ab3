# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest is not taken down where it would not be up again in time."""

import time

import pytest

from xen2kvmd.errors import WindowMissed
from xen2kvmd.model import Operation, Request
from xen2kvmd.steps import window


def request(*, minutes: float) -> Request:
    end = int((time.time() + minutes * 60) * 1e6) if minutes else 0
    return Request(Operation.MIGRATE, "xen:///system", finish_by=end)


def test_there_is_time() -> None:
    window.check(request(minutes=0), needed=10**6)
    window.check(request(minutes=61), needed=3600)


@pytest.mark.parametrize(("minutes", "needed"), [(59, 7200), (-61, 0)])
def test_there_is_none(minutes: float, needed: int) -> None:
    with pytest.raises(WindowMissed, match=r"up 61 minutes after 20.*takes about"):
        window.check(request(minutes=minutes), needed=needed)
