# SPDX-License-Identifier: GPL-2.0-or-later
"""What all tests share: nothing may be left behind."""

import asyncio
import inspect
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
import pytest_asyncio

from tests import appliance_kernel

LONGEST_ID = 100  # characters of a test's parameter in its name
LIMITS = {"fast": 60, "slow": 600, "guest": 1200, "xen": 3600}  # seconds for a test, by its marker
GRACE = 2.0  # seconds for a child or a task that is on its way out


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate",
        action="store_true",
        help="write what comes out into the expected files instead of comparing",
    )


def pytest_make_parametrize_id(val: object) -> str | None:
    """Cut what makes a log of a megabyte for each run; pytest keeps the names apart."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{val[:20]!r} and {len(val) - 20} more"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first: what is wrong shows early. A long row of tests begins its kind."""
    items.sort(key=lambda item: (LIMITS[kind(item)], not item.get_closest_marker("xdist_group")))


def kind(item: pytest.Item) -> str:
    return next(
        (name for name in ("xen", "guest", "slow") if item.get_closest_marker(name)), "fast"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if kind(item) != "fast":
        appliance_kernel.use()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """End a test that hangs: a gate that says nothing is worse than one that says no."""
    limit = LIMITS[kind(item)]

    def give_up(*_: object) -> NoReturn:
        raise TimeoutError(f"the test took more than {limit} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(limit)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether expected files shall be written anew."""
    return bool(request.config.getoption("--regenerate"))


@pytest.fixture(autouse=True)
def settled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves child processes or asyncio tasks behind.

    Set up before all fixtures of the test, so looked at after they have tidied up.
    """
    before = children()
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_tasks_left")
    yield
    deadline = time.monotonic() + GRACE
    while (left := children() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    if left:
        described = [describe(pid) for pid in sorted(left)]
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        pytest.fail(f"child processes were left behind: {', '.join(described)}")


@pytest_asyncio.fixture
async def no_tasks_left() -> AsyncIterator[None]:
    yield
    left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE)
    if left:
        described = sorted(repr(task) for task in left)
        for task in left:
            task.cancel()
        pytest.fail(f"asyncio tasks were left behind: {', '.join(described)}")


def children() -> set[int]:
    """Return the children of this process, those too that ended and were not waited for."""
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found |= {int(word) for word in path.read_text().split()}
    return found


def describe(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        line = b" ".join(words).decode(errors="replace").strip()
        return f"{pid} ({line or 'ended, but nobody waited for it'})"
    return str(pid)
