# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that fail, hang, and are not there."""

import time
from functools import partial
from pathlib import Path

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.system.command import run, running


def test_output_comes_back() -> None:
    assert run(["cat"], timeout=10, stdin=b"in and out") == b"in and out"


def test_failure_tells_what_the_program_said() -> None:
    with pytest.raises(Failed, match=r"ls failed with exit code 2: .*No such file"):
        run(["ls", "/nonexistent"], timeout=10)


def test_failure_is_told_in_one_line_that_does_nothing_to_a_terminal() -> None:
    with pytest.raises(Failed) as caught:
        run(["sh", "-c", r"printf 'one\n\033[31mtwo%2000s\n' . >&2; exit 1"], timeout=10)
    assert caught.value.message == "sh failed with exit code 1: one \ufffd[31mtwo ."


def test_what_a_program_says_that_reads_images_is_not_for_everybody(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_text("secret")
    argv = ["qemu-img", "info", "-f", "qcow2", str(image)]
    for fail in (partial(run, argv, timeout=10), partial(ends, argv)):
        with pytest.raises(Failed) as caught:
            fail()
        assert caught.value.message.startswith("qemu-img ")
        assert str(image) not in caught.value.message
        assert str(image) in caught.value.said


def ends(argv: list[str]) -> None:
    with running(argv) as program:
        program.check(seconds=10)


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
