# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts of old kernels, and shells that print of their own: real shells, in mounts of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loop import loop_device
from xen2kvmd.errors import ConnectionFailed, Unsupported
from xen2kvmd.system.disk import make_image
from xen2kvmd.system.remote_disk import opened
from xen2kvmd.system.remote_sizes import sizes
from xen2kvmd.system.ssh import BEGIN, Connection
from xen2kvmd.system.zeroes import write_zeroes_there

SIZE = 3 << 20
NO_SOCKET = Path("/no/socket")  # of a login


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A block device, which is empty."""
    make_image(tmp_path / "device", image_format="raw", size=SIZE, preallocated=False)
    with loop_device(tmp_path / "device") as device:
        yield device


def shell(script: str) -> Connection:
    """A host of our own whose login shell does something before the command, which is $2."""
    return Connection("ssh://root@xen1", ("sh", "-c", script, "sh"), NO_SOCKET)


def test_what_a_shell_prints_of_its_own_is_passed_over(tmp_path: Path) -> None:
    source = tmp_path / "disk"
    source.write_bytes(bytes(SIZE))
    noisy = shell('echo "ready 7 7"; printf "Welcome to xen1"; exec sh -c "$2"')
    assert sizes(noisy, [(str(source), "raw")]) == {(str(source), "raw"): SIZE}
    with opened(noisy, str(source), folder=tmp_path, live=False) as disk:
        assert disk.size.size == SIZE
    with (
        pytest.raises(ConnectionFailed, match="no shell"),
        opened(shell("echo no shell >&2"), str(source), folder=tmp_path, live=False),
    ):
        pass


def test_half_a_line_is_no_answer() -> None:
    with shell('exec sh -c "$2"').program(["printf", "one\n\ntwo"]) as program:
        assert (program.line(), program.line()) == ("one", "")
        with pytest.raises(ConnectionFailed):
            program.line()


def test_device_is_not_said_to_resist_where_the_connection_is_lost() -> None:
    with pytest.raises(ConnectionFailed):
        write_zeroes_there(shell(f'echo {BEGIN}; printf "blkdisc"'), "/dev/shm/none")


OLD = "mount -t tmpfs none /sys/dev"
OLDER = f"{OLD}; mount --bind /bin/false $(command -v blockdev)"
OLDEST = f"{OLDER}; mount --bind /dev/null /proc/partitions"


@pytest.mark.parametrize("host", [OLD, OLDER])
def test_old_host_tells_the_size_of_a_device(device: str, host: str, tmp_path: Path) -> None:
    argv = ("unshare", "--mount", "sh", "-c", f'{host}; exec sh -c "$2"', "sh")
    old = Connection("ssh://root@xen1", argv, NO_SOCKET)
    assert sizes(old, [(device, "raw")]) == {(device, "raw"): SIZE}
    with opened(old, device, folder=tmp_path, live=False) as disk:
        assert disk.size.size == SIZE
        assert disk.read(0, 4) == bytes(4)


def test_device_whose_size_nobody_tells_is_refused(device: str, tmp_path: Path) -> None:
    argv = ("unshare", "--mount", "sh", "-c", f'{OLDEST}; exec sh -c "$2"', "sh")
    with (
        pytest.raises(Unsupported, match=f"{device} .* whose size that host does not tell"),
        opened(
            Connection("ssh://root@xen1", argv, NO_SOCKET),
            device,
            folder=tmp_path,
            live=False,
        ),
    ):
        pass
