# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that fail, hang, and are not there."""

import time

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.system.command import run, running


def test_output_comes_back() -> None:
    assert run(["cat"], timeout=10, stdin=b"in and out") == b"in and out"


def test_failure_tells_what_the_program_said() -> None:
    with pytest.raises(Failed, match=r"ls failed with exit code 2: .*No such file"):
        run(["ls", "/nonexistent"], timeout=10)


def test_missing_program_is_named() -> None:
    with pytest.raises(Failed, match="no-such-program is not installed") as caught:
        run(["no-such-program"], timeout=10)
    assert caught.value.hint


def test_time_limit_ends_the_program() -> None:
    with pytest.raises(Failed, match="not done after"):
        run(["sleep", "60"], timeout=0.2)


def test_arguments_are_never_a_shell() -> None:
    assert run(["echo", "$(id); `id` && id"], timeout=10) == b"$(id); `id` && id\n"


def test_program_beside_us_ends_with_the_block() -> None:
    begun = time.monotonic()
    with running(["sleep", "60"]) as sleeper:
        sleeper.check()
    assert time.monotonic() - begun < 5  # and conftest.py sees that no child is left


def test_program_beside_us_that_dies_says_why() -> None:
    with running(["ls", "/nonexistent"]) as listing:
        time.sleep(0.2)
        with pytest.raises(Failed, match="No such file"):
            listing.check()
