# SPDX-License-Identifier: GPL-2.0-or-later
"""A block device of another host, behind a real sshd on 127.0.0.1, reads as zeroes at last."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.loop import loop_device
from tests.system.conftest import Far, without_power
from xen2kvmd.errors import ConnectionFailed, Failed
from xen2kvmd.system import zeroes
from xen2kvmd.system.ssh import connected

SIZE = 8 << 20


def erase(far: Far, path: str | Path) -> None:
    with connected(far.address) as host:
        zeroes.write_zeroes_there(host, str(path))


def test_device_there_is_erased(far: Far, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(os.urandom(SIZE))
    with loop_device(tmp_path / "data") as device:
        erase(far, device)
        assert Path(device).read_bytes() == bytes(SIZE)


def test_file_there_stays(far: Far, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"data")
    erase(far, tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == b"data"


def test_device_that_cannot_be_erased_is_told(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeroes, "ERASE", ("blkdiscard", "--zeroout", "--step", "1"))
    (tmp_path / "data").write_bytes(bytes(SIZE))
    with (
        loop_device(tmp_path / "data") as device,
        pytest.raises(Failed, match=f"127.0.0.1.* cannot erase {device}: blkdiscard: "),
    ):
        erase(far, device)


def test_program_that_is_killed_there_is_told(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeroes, "ERASE", ("sh", "-c", "kill -9 $$"))
    (tmp_path / "data").write_bytes(bytes(SIZE))
    with (
        loop_device(tmp_path / "data") as device,
        pytest.raises(Failed, match=f"cannot erase {device}: it ended with code 137"),
    ):
        erase(far, device)


def runs(mark: str) -> bool:
    looks = ["pgrep", "-f", f"^sleep {mark}"]
    return subprocess.run(looks, stdout=subprocess.DEVNULL).returncode == 0


def wait_until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_ends_with_the_connection(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"4242{os.getpid()}"
    end = f"kill $(ps -o pid= --ppid {far.pid}); exec sleep {mark}"
    monkeypatch.setattr(zeroes, "ERASE", ("sh", "-c", end))
    (tmp_path / "data").write_bytes(bytes(SIZE))
    with loop_device(tmp_path / "data") as device, pytest.raises(ConnectionFailed):
        erase(far, device)
    wait_until(lambda: not runs(mark))


@pytest.mark.usefixtures("fast_heart")
def test_it_ends_when_this_host_has_no_power(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"4243{os.getpid()}"
    monkeypatch.setattr(zeroes, "ERASE", ("sh", "-c", f"exec sleep {mark}"))
    (tmp_path / "data").write_bytes(bytes(SIZE))
    with (
        loop_device(tmp_path / "data") as device,
        connected(far.address) as host,
        ThreadPoolExecutor() as beside,
    ):
        erased = beside.submit(zeroes.write_zeroes_there, host, device)
        wait_until(lambda: runs(mark))
        time.sleep(2.5)
        assert runs(mark)  # it hears us
        with without_power(host):
            wait_until(lambda: not runs(mark))
        with pytest.raises(ConnectionFailed):
            erased.result()
