# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's fstab says of its root, and which roots are told beside the one that is taken."""

from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest import fstab
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.roots import Root, names_besides

DEBIAN = """\
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
# / was on /dev/xvda2 during installation
UUID=3e6b /               btrfs   defaults,subvol=@rootfs 0       0
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (DEBIAN, ("UUID=3e6b", "defaults,subvol=@rootfs")),
        ('UUID="3e6b" / ext4\n', ("UUID=3e6b", "")),
        ("#/dev/xvda1 / ext4 defaults\n/dev/xvda2 /home ext4 defaults\n", ("", "")),
        ("", ("", "")),
    ],
)
def test_root_is_named_by_a_line_that_is_no_comment(
    text: str, line: tuple[str, str], tmp_path: Path
) -> None:
    guest = Folder(tmp_path)
    guest.write("/etc/fstab", text)

    assert fstab.root_line(guest) == line


def root(name: str, *, is_copy: bool) -> Root:
    return Root(FileSystem("/dev/vda1", "btrfs"), name, name, is_copy=is_copy)


def test_copies_are_told_where_nothing_else_was_found() -> None:
    rootfs, before = root("@rootfs", is_copy=True), root("@before", is_copy=True)
    other = root("/dev/xvdb1", is_copy=False)

    assert names_besides([rootfs, before, other]) == ("@before", "/dev/xvdb1")
    assert names_besides([other, rootfs, before]) == ()
    assert names_besides([rootfs]) == ()
