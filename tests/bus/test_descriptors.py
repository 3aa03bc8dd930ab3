# SPDX-License-Identifier: GPL-2.0-or-later
"""So many descriptors are open at once, whoever sends them, and none that is closed holds us up."""

import os
import threading
import time
from pathlib import Path

import pytest

from tests.bus.client import ERROR, FDO, CallError, Client
from tests.bus.prompt import answered_promptly
from tests.bus.running import running_bus, running_daemon, wait_until
from tests.bus.stuck_file import stuck_file
from tests.bus.test_key_descriptors import memfd, migrate, none_left, sent
from xen2kvmd.bus.descriptors import AT_ONCE, PER_CALLER, Descriptors
from xen2kvmd.errors import LimitExceeded


def test_all_callers_have_so_many_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    taken = Descriptors()
    held = []
    with sent(memfd(b"")) as (descriptor,):
        for number in range(AT_ONCE // PER_CALLER):
            numbers = [os.dup(descriptor) for _ in range(PER_CALLER)]
            held.append(taken.take(f":1.{number}", numbers, keep=True))
        held[-1].check()
        more = taken.take(":1.999", [os.dup(descriptor)], keep=True)
        with pytest.raises(LimitExceeded):
            more.check()
        taken.take(":1.0", [], keep=True).check()
        held[0].close()
        held[0].close()
        wait_until(lambda: not taken.closing)
        held.append(taken.take(":1.999", [os.dup(descriptor)], keep=True))
        held[-1].check()
        for brought in held:
            brought.close()
    wait_until(lambda: set(os.listdir("/proc/self/fd")) == before)


def test_what_is_no_memfd_or_in_no_call_is_closed() -> None:
    before = set(os.listdir("/proc/self/fd"))
    taken = Descriptors()
    ours, theirs = os.pipe()
    null = os.open("/dev/null", os.O_RDONLY)
    brought = taken.take(":1.1", [ours, memfd(b"hunter2"), theirs, null], keep=True)
    taken.take(":1.2", [memfd(b"hunter2")], keep=False)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) == len(before) + 1)
    assert brought.read(1, 4) == b"hunt"
    for index in (0, 2, 3):
        with pytest.raises(ValueError, match="no memfd"):
            brought.read(index, 4)
    brought.close()
    wait_until(lambda: set(os.listdir("/proc/self/fd")) == before)


def test_what_no_thread_is_left_for_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = set(os.listdir("/proc/self/fd"))
    taken = Descriptors()
    monkeypatch.setattr(threading.Thread, "start", start)
    taken.take(":1.1", [memfd(b"1"), memfd(b"2")], keep=False)
    wait_until(lambda: not taken.closing)
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_what_is_left_while_a_thread_waits_is_closed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that is always there may be one of those that wait."""

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    taken = Descriptors()
    before = set(os.listdir("/proc/self/fd"))
    with stuck_file(tmp_path, process=os.getpid()) as file:
        stuck = os.open(file.path, os.O_RDONLY)
        with monkeypatch.context() as then:
            then.setattr(threading.Thread, "start", start)
            taken.take(":1.1", [stuck], keep=False)
            wait_until(lambda: file.waiting() == 1)
            taken.take(":1.1", [memfd(b"1"), memfd(b"2")], keep=False)
            time.sleep(0.2)
        assert taken.closing == 3
        taken.take(":1.2", [memfd(b"3")], keep=False)
        wait_until(lambda: taken.closing == 1)
        assert file.answer() == 1
        wait_until(lambda: not taken.closing)
    assert set(os.listdir("/proc/self/fd")) == before


async def test_a_file_that_lets_us_wait_is_refused_and_holds_up_nobody(
    library: str, tmp_path: Path
) -> None:
    """Nor do programs that we begin meanwhile; and we do not end, for we could not."""
    with (
        running_bus() as (address, _),
        running_daemon(address, library, TEST_IDLE="1") as daemon,
        stuck_file(tmp_path, process=daemon.process.pid) as file,
    ):
        root = await Client.connect(address)
        await root.call("Ping", interface=FDO + ".Peer")
        before = daemon.tell("stats")["descriptors"]
        with sent(os.open(file.path, os.O_RDONLY)) as (stuck,), answered_promptly(address):
            with sent(memfd(b"hunter2")) as (key,):
                with pytest.raises(CallError, match="it is no memfd") as caught:
                    await migrate(root, [key, *[stuck] * 15], "all", "all")
                assert caught.value.name == ERROR + "InvalidOption"
                wait_until(lambda: file.waiting() == 15)
                daemon.end(await migrate(root, [key] * 16, "all"))
            with pytest.raises(CallError, match="InvalidXml"):  # a program says so
                await root.call("ConvertXml", "ssa{sv}", "libvirtxml", "<domain/>", {})
            await none_left(root, daemon, before)
        time.sleep(3)
        assert daemon.process.poll() is None
        assert file.answer() == 15
        daemon.process.wait(10)
        root.close()
