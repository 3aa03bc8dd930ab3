# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of different lanes are worked on at once; one that fails ends all."""

import threading
import time

import pytest

from xen2kvmd.errors import Cancelled, Failed
from xen2kvmd.system.lanes import Work, done_in_lanes
from xen2kvmd.system.measure import Progress


def ignore(_done: int, _total: int) -> None:
    """Take progress and do nothing."""


def test_lanes_go_at_once_and_each_in_its_order() -> None:
    together = threading.Barrier(2, timeout=10)
    order: list[str] = []

    def first(_progress: Progress) -> str:
        together.wait()
        return "read"

    def second(_progress: Progress) -> str:
        order.append("second")
        return "read"

    works = [Work("a", "1", 5, first), Work("b", "2", 5, first), Work("c", "1", 5, second)]
    done = [name for name, _ in done_in_lanes(works, ignore)]
    assert sorted(done) == ["a", "b", "c"]
    assert done.index("a") < done.index("c")


def test_progress_is_that_of_all() -> None:
    seen: list[tuple[int, int]] = []

    def work(progress: Progress) -> str:
        progress(0, 10)
        progress(10, 10)
        return ""

    works = [Work(name, name, 20, work) for name in ("a", "b")]
    list(done_in_lanes(works, lambda *at: seen.append(at)))
    assert seen[-1] == (20, 20)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def endless(progress: Progress) -> str:
    while True:
        progress(1, 2)
        time.sleep(0.01)


def test_failure_of_one_ends_all_and_is_told() -> None:
    def fail(_progress: Progress) -> str:
        raise Failed("no space")

    works = [Work("a", "1", 2, endless), Work("b", "2", 2, fail), Work("c", "2", 2, endless)]
    with pytest.raises(Failed, match="no space"):
        list(done_in_lanes(works, ignore))


def test_cancel_ends_all() -> None:
    calls: list[int] = []

    def cancel(done: int, _total: int) -> None:
        calls.append(done)
        if len(calls) > 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(done_in_lanes([Work(n, n, 2, endless) for n in ("a", "b", "c")], cancel))


def test_who_does_not_wait_for_all_ends_them() -> None:
    works = [Work("a", "1", 2, lambda _progress: "x"), Work("b", "2", 2, endless)]
    for name, result in (results := done_in_lanes(works, ignore)):
        assert (name, result) == ("a", "x")
        break
    results.close()


def test_nothing_to_do_is_nothing_done() -> None:
    assert list(done_in_lanes([], ignore)) == []
