# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's locks, taken by real QEMUs: what one writes is seen, what we read none writes."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.libvirt_test_driver import open_in_a_qemu
from xen2kvmd.errors import Failed, VmRunning
from xen2kvmd.system import image_locks
from xen2kvmd.system.disk import make_image
from xen2kvmd.system.opened_disk import opened_for_reading


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    make_image(path, image_format="raw", size=1 << 20, preallocated=False)
    return path


def test_disk_of_a_running_qemu_is_locked(image: Path) -> None:
    assert not image_locks.is_locked(str(image))
    with open_in_a_qemu(image, "raw"):
        assert image_locks.is_locked(str(image))
        with pytest.raises(VmRunning, match=f"The disk {image} is in use"):
            image_locks.check_unlocked(str(image))
    assert not image_locks.is_locked(str(image))


def test_disk_that_a_qemu_writes_is_not_read(image: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(open_in_a_qemu(image, "raw"))
        with pytest.raises(VmRunning, match=f"The disk {image} is in use"):
            stack.enter_context(opened_for_reading(str(image), "raw"))


def test_disk_that_is_read_no_qemu_writes_and_others_read(image: Path) -> None:
    with opened_for_reading(str(image), "raw"), opened_for_reading(str(image), "raw") as again:
        assert again.size == 1 << 20
        with pytest.raises(Failed) as refused, open_in_a_qemu(image, "raw"):
            pass
        assert 'Failed to get "write" lock' in refused.value.said
    with open_in_a_qemu(image, "raw"):
        assert image_locks.is_locked(str(image))
