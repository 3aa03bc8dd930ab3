# SPDX-License-Identifier: GPL-2.0-or-later
"""What reads a disk on its host: qemu-nbd, or sh, dd and cmp; behind a real sshd, or none."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.loop import loop_device
from tests.system.conftest import Far, without_power
from xen2kvmd.system import reader_there
from xen2kvmd.system.measure import BLOCK
from xen2kvmd.system.remote_disk import SERVED_AHEAD, RemoteDisk, opened
from xen2kvmd.system.ssh import Connection, connected

NO_SOCKETS = "AllowStreamLocalForwarding no"
COUNT = 40
DATA = (0, 1, 7, COUNT - 1)  # blocks


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A disk with data and zeroes; its name is to be quoted, for the shell and for QEMU."""
    path = tmp_path / "it's, a $(disk)"
    with path.open("wb") as stream:
        for number in range(COUNT):
            stream.write(os.urandom(BLOCK) if number in DATA else bytes(BLOCK))
    return path


@pytest.fixture
def device(source: Path) -> Iterator[str]:
    with loop_device(source, "--read-only") as device:
        yield device


@contextmanager
def disk_of(far: Far, folder: Path, path: Path | str) -> Iterator[tuple[Connection, RemoteDisk]]:
    with (
        connected(far.address) as host,
        opened(host, str(path), folder=folder, live=False) as disk,
    ):
        yield host, disk


def whole(disk: RemoteDisk) -> bytes:
    return b"".join(disk.read(number * BLOCK, BLOCK) for number in range(COUNT))


def readers(path: Path | str, *programs: str) -> list[int]:
    """Return the processes of these programs that read a disk: its path ends an argument."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            ours = any(word.replace(",,", ",").endswith(str(path)) for word in words)
            if ours and (process / "comm").read_text().strip() in programs:
                found.append(int(process.name))
    return found


@pytest.mark.parametrize(
    ("sshd_options", "reader"), [("", "qemu-nbd"), (NO_SOCKETS, "sh, dd and cmp")]
)
@pytest.mark.parametrize("kind", ["file", "device"])
def test_disk_is_read_by_the_best_that_its_host_has(
    far: Far, tmp_path: Path, source: Path, device: str, *, kind: str, reader: str
) -> None:
    before = source.stat()
    with disk_of(far, tmp_path, source if kind == "file" else device) as (_, disk):
        assert disk.reader == reader
        assert whole(disk) == source.read_bytes()
        disk.verify(lambda _done, _total: None)
    assert source.stat().st_mtime_ns == before.st_mtime_ns


def test_zeroes_of_a_device_stay_there_but_for_what_is_asked_ahead(
    far: Far, tmp_path: Path, device: str
) -> None:
    with disk_of(far, tmp_path, device) as (_, disk):
        whole(disk)
        (session,) = far.sessions()
        sent = Path(f"/proc/{session}/io").read_text().split("wchar: ")[1].split()[0]
    assert int(sent) < (len(DATA) + SERVED_AHEAD) * BLOCK


def test_dd_reads_on_where_qemu_nbd_ends(far: Far, tmp_path: Path, source: Path) -> None:
    with disk_of(far, tmp_path, source) as (_, disk):
        first = disk.read(0, BLOCK)
        (server,) = readers(source, "qemu-nbd")
        os.kill(server, signal.SIGKILL)
        assert whole(disk) == source.read_bytes()
        assert first == disk.read(0, BLOCK)
        disk.verify(lambda _done, _total: None)
        assert disk.reader == "sh, dd and cmp"


def test_host_whose_qemu_nbd_is_too_old_is_read_by_dd(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    monkeypatch.setattr(reader_there, "folder", lambda: str(there))
    old = 'mount --bind /bin/false $(command -v qemu-nbd); exec sh -c "$2"'
    argv = ("unshare", "--mount", "sh", "-c", old, "sh")
    host = Connection("ssh://root@xen1", argv, Path("/no/socket"))
    with opened(host, str(source), folder=tmp_path, live=False) as disk:
        assert not there.exists()
        assert disk.reader == "sh, dd and cmp"
        assert whole(disk) == source.read_bytes()


def test_file_of_the_shell_there_that_prints_is_not_read_again(
    source: Path, tmp_path: Path
) -> None:
    """The shell takes what sshd begins for a login, and reads it: before our words only."""
    (tmp_path / ".bashrc").write_text("echo Welcome to xen1\n")
    login = f'SHLVL=0 SSH_CLIENT=1 HOME="{tmp_path}" exec bash -c "$2"'
    argv = ("sh", "-c", login, "sh")
    host = Connection("ssh://root@xen1", argv, Path("/no/socket"))
    with opened(host, str(source), folder=tmp_path, live=False) as disk:
        assert whole(disk) == source.read_bytes()
        assert readers(source, "qemu-nbd")
    assert not readers(source, "qemu-nbd", "bash")


@pytest.mark.usefixtures("fast_heart")
def test_reader_of_a_host_without_power_ends(far: Far, tmp_path: Path, device: str) -> None:
    with disk_of(far, tmp_path, device) as (host, disk):
        time.sleep(2.5)
        assert disk.read(0, 1)  # it hears us
        assert len(readers(device, "bash", "qemu-nbd")) == 2
        with without_power(host):
            limit = time.monotonic() + 20
            while readers(device, "bash", "qemu-nbd"):
                assert time.monotonic() < limit
                time.sleep(0.1)
