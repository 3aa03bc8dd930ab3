# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that share something dear (a container, a Xen host) run in one process."""

import pytest


@pytest.mark.xdist_group("shared")
def test_group_is_known_where_tests_are_dealt_out(request: pytest.FixtureRequest) -> None:
    """pytest-xdist writes it behind the test's id, which pytest 9.2 does not let it."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("all tests run in one process")
    assert request.node.nodeid.endswith("@shared")
