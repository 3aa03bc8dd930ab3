# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the target's host are handled alike, here and behind a real sshd on 127.0.0.1."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.libvirt_test_driver import open_in_a_qemu
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
    base, overlay = tmp_path / "b 'ase'", tmp_path / "overlay"
    make_image(base, image_format="qcow2", size=1 << 20, preallocated=False)
    make_overlay(overlay, base=str(base), base_format="qcow2")
    before = (tmp_path / name).read_bytes()
    assert not files.is_open(str(tmp_path / name))
    with open_in_a_qemu(overlay, "qcow2"):
        assert files.is_open(str(tmp_path / name))
    assert not files.is_open(str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == before


def test_raw_file_that_a_qemu_writes_is_told(files: TargetFiles, tmp_path: Path) -> None:
    """Such a QEMU would let others write too, and takes no lock that forbids it."""
    image = tmp_path / "a,b"
    image.write_bytes(bytes(1 << 20))
    with open_in_a_qemu(image, "raw"):
        assert files.is_open(str(image))
    assert not files.is_open(str(image))


OLD_QEMU_IO = """\
#!/bin/sh
case $* in
*unshare-child-perms*)
  echo "qemu-io: Block protocol 'blkdebug' doesn't support the option 'unshare-child-perms.0'" >&2
  exit 1 ;;
esac
exec /usr/bin/qemu-io "$@"
"""


def test_host_with_an_old_qemu_is_asked_as_well(far: Far, tmp_path: Path) -> None:
    """What QEMU 4.1 and older say to an option that they do not know; the rest is real."""
    programs, image = tmp_path / "bin", tmp_path / "image"
    programs.mkdir()
    (programs / "qemu-io").write_text(OLD_QEMU_IO)
    (programs / "qemu-io").chmod(0o755)
    key = (far.folder / "key.pub").read_text()
    path_first = f'command="PATH={programs}:$PATH; eval \\"$SSH_ORIGINAL_COMMAND\\""'
    (far.folder / "authorized").write_text(f"{path_first} {key}")
    make_image(image, image_format="qcow2", size=1 << 20, preallocated=False)
    with files_of(far.address) as there:
        assert not there.is_open(str(image))
        with open_in_a_qemu(image, "qcow2"):
            assert there.is_open(str(image))


def test_file_that_cannot_be_looked_at_is_told(files: TargetFiles) -> None:
    with pytest.raises(Failed, match=r"Whether a QEMU has /gone open .*: .*No such file"):
        files.is_open("/gone")


def test_what_cannot_be_renamed_is_told(far: Far, tmp_path: Path) -> None:
    with files_of(far.address) as there, pytest.raises(Failed, match="rename /gone: mv:"):
        there.rename("/gone", "/gone.old")
