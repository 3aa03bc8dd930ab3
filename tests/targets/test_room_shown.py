# SPDX-License-Identifier: GPL-2.0-or-later
"""How a file system that is too small is told to a person."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from xen2kvmd.errors import InsufficientSpace
from xen2kvmd.system import files
from xen2kvmd.targets.room import Need, check_room, doubts, store_of


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, mounted where a space has to be escaped in /proc."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    point = tmp_path / "of the guests"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(point)], check=True)
    yield point
    subprocess.run(["umount", str(point)], check=True)


def need(folder: Path, count: int, doubt: int = 0) -> Need:
    return Need("disk 'xvda'", count, store_of(folder), files.free(folder), "xvda", doubt)


def test_file_system_is_told_by_where_it_is_mounted(small: Path) -> None:
    (small / "vm").mkdir()
    with pytest.raises(InsufficientSpace, match=f"free on the file system of {small}: disk 'xvda'"):
        check_room([need(small / "vm", 2 << 20)])
    (doubt,) = doubts([need(small / "vm", 2 << 20, doubt=2 << 20)]).values()
    assert f"free on the file system of {small}: " in doubt.message


def test_what_is_in_no_list_of_mounts_keeps_its_name() -> None:
    for store in ("pool 'vg0'", "the file system 0:99999"):
        with pytest.raises(InsufficientSpace, match=f"free on {store}: "):
            check_room([Need("disk 'xvda'", 2, store, 1)])
