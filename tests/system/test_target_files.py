# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the target's host are handled alike, here and behind a real sshd on 127.0.0.1."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Far
from xen2kvmd.errors import Failed
from xen2kvmd.system.disk import make_image, make_overlay
from xen2kvmd.system.target_files import TargetFiles, files_of


@pytest.fixture(params=["here", "there"])
def files(request: pytest.FixtureRequest, far: Far, tmp_path: Path) -> Iterator[TargetFiles]:
    with files_of(far.address if request.param == "there" else "") as opened:
        yield opened


def test_what_is_there_is_told(files: TargetFiles, tmp_path: Path) -> None:
    (tmp_path / "a 'b'").touch()
    (tmp_path / "link").symlink_to("a 'b'")
    (tmp_path / "dangling").symlink_to("gone")
    kinds = {"a 'b'": "file", "link": "file", "dangling": "other", ".": "other", "gone": "nothing"}
    for name, kind in kinds.items():
        assert files.kind(f"{tmp_path}/{name}") == kind


def test_file_is_renamed_over_another_and_removed_twice(files: TargetFiles, tmp_path: Path) -> None:
    old, new = tmp_path / "-f $(x)", tmp_path / ".new;y"
    old.write_text("old")
    new.write_text("new")
    files.rename(str(old), str(new))
    assert new.read_text() == "old"
    assert not old.exists()
    for _ in range(2):
        files.remove(str(new))
        assert not new.exists()


@pytest.mark.parametrize("name", ["b 'ase'", "overlay"])
def test_file_that_a_qemu_has_open_is_told(files: TargetFiles, tmp_path: Path, name: str) -> None:
    """A QEMU has an overlay: what that builds on is read only, and is not to go either."""
    base, overlay, socket = tmp_path / "b 'ase'", tmp_path / "overlay", tmp_path / "socket"
    make_image(base, image_format="qcow2", size=1 << 20, preallocated=False)
    make_overlay(overlay, base=str(base), base_format="qcow2")
    before = (tmp_path / name).read_bytes()
    assert not files.is_open(str(tmp_path / name))
    argv = ["qemu-nbd", "-f", "qcow2", "-k", str(socket), str(overlay)]
    with subprocess.Popen(argv) as reader:
        while not socket.exists():
            time.sleep(0.02)
        assert files.is_open(str(tmp_path / name))
        reader.terminate()
    assert not files.is_open(str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == before


def test_file_that_cannot_be_looked_at_is_told(files: TargetFiles) -> None:
    with pytest.raises(Failed, match=r"Whether a QEMU has /gone open .*: .*No such file"):
        files.is_open("/gone")


def test_what_cannot_be_renamed_is_told(far: Far, tmp_path: Path) -> None:
    with files_of(far.address) as there, pytest.raises(Failed, match="rename /gone: mv:"):
        there.rename("/gone", "/gone.old")
