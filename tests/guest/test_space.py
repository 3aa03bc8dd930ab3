# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest without room for its conversion is told so in the plan."""

from pathlib import Path

import pytest

from xen2kvmd.guest.folder import Folder
from xen2kvmd.guest.space import room_for_changes
from xen2kvmd.guest.tree import Room
from xen2kvmd.model import Case, Facts, Kernel

MIB = 1 << 20
KERNEL = Kernel("6.1", "/boot/vmlinuz-6.1", "/boot/initrd.img-6.1", virtio=True)
CASE = Case(facts=Facts(boot_code=False, kernels=(KERNEL,), initrd_tool="dracut"))


class Small(Folder):
    """A folder that pretends to lie on file systems of these rooms; its initrd has 10 MiB."""

    def __init__(self, root: Path, rooms: dict[str, Room]) -> None:
        super().__init__(root)
        self.rooms = rooms

    def size(self, path: str) -> int:
        return 10 * MIB

    def room(self, path: str) -> Room | None:
        return self.rooms.get(path)


@pytest.mark.parametrize(
    ("path", "room", "found"),
    [
        ("/boot", Room(21 * MIB, 400), []),
        ("/boot", Room(20 * MIB, 400), ["too-little-space"]),
        ("/boot", Room(21 * MIB, 100), ["too-few-inodes"]),
        ("/boot", Room(21 * MIB, None), []),
        ("/var/tmp", Room(39 * MIB, 100), ["too-little-space"]),
        ("/", Room(0, 0), ["too-little-space", "too-few-inodes"]),
    ],
)
def test_room_is_looked_for_where_it_is_needed(
    tmp_path: Path, path: str, room: Room, found: list[str]
) -> None:
    findings = room_for_changes(Small(tmp_path, {path: room}), CASE)
    assert [finding.id for finding in findings] == found
    assert {finding.place for finding in findings} <= {path}
