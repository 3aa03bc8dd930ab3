# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks that fail while they are open: the error names the disk, and why."""

import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.system.disk import make_overlay
from xen2kvmd.system.opened_disk import opened_for_reading


@pytest.fixture
def bad(tmp_path: Path) -> Iterator[str]:
    """An NBD export of which no sector can be read."""
    socket = tmp_path / "bad"
    argv = ["nbdkit", "-f", "--filter=error", "-U", str(socket)]
    argv += ["pattern", "1M", "error-pread-rate=1"]
    with subprocess.Popen(argv) as server:
        while not socket.exists():
            time.sleep(0.05)
        yield f"nbd+unix:///?socket={socket}"
        server.terminate()


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_disk_that_cannot_be_read_is_named_with_the_reason(
    bad: str, tmp_path: Path, image_format: str
) -> None:
    """qemu-nbd, which opens an image, hangs up and tells of it on its standard error alone."""
    overlay = tmp_path / "overlay"
    make_overlay(overlay, base=bad, base_format="raw")
    path = {"raw": bad, "qcow2": str(overlay)}[image_format]
    with pytest.raises(Failed) as failed, opened_for_reading(path, image_format) as disk:
        deque(disk.read(disk.data()), maxlen=0)
    assert failed.value.message.startswith(f"The disk {path} cannot be read: ")
    assert "Input/output error" in failed.value.message
