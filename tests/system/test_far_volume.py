# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that is written on another host: a real sshd on 127.0.0.1, a real qemu-nbd behind it."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Far, without_power
from xen2kvmd.errors import Failed
from xen2kvmd.system import far_volume
from xen2kvmd.system.disk import make_image
from xen2kvmd.system.image_locks import is_locked
from xen2kvmd.system.opened_disk import opened_for_writing
from xen2kvmd.system.ssh import connected

MIB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for little."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "small", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def write(far: Far, folder: Path, image: Path, *, megabytes: int) -> None:
    with (
        connected(far.address) as host,
        far_volume.opened(host, folder, str(image), "qcow2") as uri,
        opened_for_writing(uri, "raw") as disk,
    ):
        for at in range(megabytes):
            disk.write(bytearray(os.urandom(MIB)), at * MIB)
        disk.flush()


def test_full_disk_there_is_told_by_its_own_name(far: Far, small: Path, tmp_path: Path) -> None:
    image = small / "disk.qcow2"
    make_image(image, image_format="qcow2", size=64 * MIB, preallocated=False)
    with pytest.raises(Failed) as raised:
        write(far, tmp_path, image, megabytes=8)
    assert f"The disk {image} of the host root@127.0.0.1" in raised.value.message
    assert "No space left" in raised.value.message
    assert "socket" not in raised.value.message


def test_what_a_shell_there_prints_of_its_own_is_passed_over(far: Far, tmp_path: Path) -> None:
    key = (far.folder / "key.pub").read_text()
    noisy = 'command="echo lacks; eval \\"$SSH_ORIGINAL_COMMAND\\""'
    (far.folder / "authorized").write_text(f"{noisy} {key}")
    image = tmp_path / "disk"
    make_image(image, image_format="qcow2", size=8 * MIB, preallocated=False)
    write(far, tmp_path, image, megabytes=1)


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_writer_that_is_about_to_end_is_waited_for(
    far: Far, tmp_path: Path, image_format: str
) -> None:
    image = tmp_path / "disk"
    make_image(image, image_format=image_format, size=64 * MIB, preallocated=False)
    argv = ["qemu-nbd", "-t", "-f", image_format, "-k", str(tmp_path / "socket"), str(image)]
    ended = threading.Event()
    with subprocess.Popen(argv) as writer:

        def end() -> None:
            ended.set()
            writer.terminate()

        while not is_locked(str(image)):
            time.sleep(0.02)
        with connected(far.address) as host:
            threading.Timer(1.5, end).start()
            far_volume.mend(host, str(image), image_format)
        assert ended.is_set()


@pytest.mark.usefixtures("fast_heart")
def test_writer_of_a_host_without_power_ends(far: Far, tmp_path: Path) -> None:
    image = tmp_path / "disk"
    make_image(image, image_format="qcow2", size=64 * MIB, preallocated=False)
    with (
        connected(far.address) as host,
        far_volume.opened(host, tmp_path, str(image), "qcow2"),
    ):
        time.sleep(2.5)
        assert is_locked(str(image))  # it hears us
        with without_power(host), connected(far.address) as again:
            far_volume.mend(again, str(image), "qcow2")
            assert not is_locked(str(image))


def test_image_with_faults_is_told(far: Far, tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(MIB))
    with (
        connected(far.address) as host,
        pytest.raises(Failed, match=f"The disk {image} of the host .* cannot be mended") as raised,
    ):
        far_volume.mend(host, str(image), "qcow2")
    assert "qcow2" in raised.value.said


def test_disk_there_is_compressed(far: Far, tmp_path: Path) -> None:
    image = tmp_path / "a,disk"
    make_image(image, image_format="qcow2", size=8 * MIB, preallocated=False)
    with (
        connected(far.address) as host,
        far_volume.opened(host, tmp_path, str(image), "qcow2", compressed=True) as uri,
        opened_for_writing(uri, "raw") as disk,
    ):
        disk.write(bytearray(b"data" * (MIB // 4)), 2 * MIB)
        disk.flush()
    argv = ["qemu-img", "check", "--output=json", "-f", "qcow2", str(image)]
    told = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert told["compressed-clusters"] == told["allocated-clusters"] == MIB >> 16
