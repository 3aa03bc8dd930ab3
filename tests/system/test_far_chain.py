# SPDX-License-Identifier: GPL-2.0-or-later
"""An image of another host that builds on others: all of them are read there, none here."""

import os
import shutil
from pathlib import Path

import pytest

from tests.system.conftest import Far
from xen2kvmd.errors import InvalidDisk, VmRunning
from xen2kvmd.model import Backing, SourceDisk
from xen2kvmd.system import blocks
from xen2kvmd.system.disk import examine_served, make_image, make_overlay, size_of
from xen2kvmd.system.measure import BLOCK
from xen2kvmd.system.opened_disk import opened_for_writing
from xen2kvmd.system.remotes import Remotes

SIZE = 16 * BLOCK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A raw image, an overlay over it, and one over that; each has a block of its own."""
    made = tmp_path / "made"
    made.mkdir()
    with (made / "base.raw").open("wb") as stream:
        stream.truncate(SIZE)
        for number in (1, 3, 5):
            stream.seek(number * BLOCK)
            stream.write(os.urandom(BLOCK))
    make_overlay(made / "middle.qcow2", base="base.raw", base_format="raw")
    make_overlay(made / "top.qcow2", base="middle.qcow2", base_format="qcow2")
    fill(made / "middle.qcow2", 5)
    fill(made / "top.qcow2", 9)
    return made


def fill(image: Path, number: int) -> None:
    """Write noise into one block of an image, past what it builds on."""
    with opened_for_writing(str(image), "qcow2") as disk:
        disk.write(bytearray(os.urandom(BLOCK)), number * BLOCK)
        disk.flush()


def source(far: Far, folder: Path) -> SourceDisk:
    backing = (
        Backing(str(folder / "middle.qcow2"), "qcow2"),
        Backing(str(folder / "base.raw"), "raw"),
    )
    top = str(folder / "top.qcow2")
    return SourceDisk("xvda", top, "qcow2", SIZE, 0, far.address, backing=backing)


def ignore(_done: int, _total: int) -> None:
    """Take progress and do nothing."""


def test_chain_is_read_as_one_disk(
    far: Far, remotes: Remotes, folder: Path, tmp_path: Path
) -> None:
    expected = blocks.digest(str(folder / "top.qcow2"), "qcow2", ignore)
    disk = source(far, folder)
    before = [(folder / name).stat().st_mtime_ns for name in os.listdir(folder)]
    place = remotes.chained(disk)
    assert size_of(place, "qcow2") == SIZE
    target = tmp_path / "copy"
    make_image(target, image_format="raw", size=SIZE, preallocated=False)
    assert blocks.copy(ignore, source=(place, "qcow2"), target=(str(target), "raw")) == expected
    remotes.verify(ignore)
    assert remotes.chained(disk) == place
    assert [(folder / name).stat().st_mtime_ns for name in os.listdir(folder)] == before


def test_no_image_of_this_host_is_taken_for_one_of_the_chain(
    far: Far, remotes: Remotes, folder: Path, tmp_path: Path
) -> None:
    """Here lies something else under the name that the image has for its base."""
    expected = blocks.digest(str(folder / "top.qcow2"), "qcow2", ignore)
    there = tmp_path / "there"
    shutil.copytree(folder, there)
    make_overlay(there / "top.qcow2", base=str(folder / "middle.qcow2"), base_format="qcow2")
    shutil.copy(folder / "top.qcow2", there / "content.qcow2")
    make_image(folder / "middle.qcow2", image_format="qcow2", size=SIZE, preallocated=False)
    (there / "content.qcow2").rename(there / "top.qcow2")
    assert blocks.digest(remotes.chained(source(far, there)), "qcow2", ignore) == expected


def test_write_to_a_base_is_found_at_the_end(far: Far, remotes: Remotes, folder: Path) -> None:
    blocks.digest(remotes.chained(source(far, folder)), "qcow2", ignore)
    with (folder / "base.raw").open("r+b") as stream:
        stream.seek(BLOCK)
        stream.write(b"written meanwhile")
    with pytest.raises(VmRunning, match=r"base\.raw .* was written to"):
        remotes.verify(ignore)


def test_base_that_is_not_there_is_named(far: Far, remotes: Remotes, folder: Path) -> None:
    (folder / "base.raw").unlink()
    with pytest.raises(InvalidDisk, match=r"base\.raw of the host .* cannot be found"):
        remotes.chained(source(far, folder))


def test_image_tells_what_it_builds_on(far: Far, remotes: Remotes, folder: Path) -> None:
    path = str(folder / "top.qcow2")
    head = remotes.disk(far.address, path).read(0, 8)
    info = examine_served(remotes.uri(far.address, path), "qcow2", path=path, head=head)
    assert (info.backing, info.backing_format) == ("middle.qcow2", "qcow2")
