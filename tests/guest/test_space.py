# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest without room for its conversion is told so in the plan."""

from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest.operations import Copy, Remove, Write
from xen2kvmd.guest.space import room_for_changes, room_for_files
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


def test_initrd_on_the_esp_needs_room_there(tmp_path: Path) -> None:
    kernel = Kernel("6.8", "/boot/efi/suse/6.8/linux-1", "/boot/efi/suse/6.8/initrd-1")
    case = Case(facts=Facts(kernels=(kernel,), initrd_tool="dracut"))
    rooms = {"/boot/efi/suse/6.8": Room(12 * MIB, None), "/boot": Room(MIB, 400)}
    (found,) = room_for_changes(Small(tmp_path, rooms), case)
    assert (found.id, found.place) == ("too-little-space", "/boot/efi/suse/6.8")


@pytest.mark.parametrize(("free", "found"), [(20 * MIB + 4, []), (20 * MIB, ["/boot/efi"])])
def test_files_need_room_on_each_file_system(tmp_path: Path, free: int, found: list[str]) -> None:
    rooms = {"/": Room(0, 0, 1), "/boot/efi": Room(free, None, 2)}
    operations = (
        Copy("/boot/efi/EFI/BOOT/BOOTX64.EFI", "/boot/efi/EFI/debian/shimx64.efi"),
        Copy("/boot/efi/EFI/BOOT/grubx64.efi", "/boot/efi/EFI/debian/grubx64.efi"),
        Write("/boot/efi/x", "four"),
        Write("/etc/large", "x" * 4000),
        Remove("/boot/efi/y"),
    )
    findings = room_for_files(Small(tmp_path, rooms), operations)
    assert [finding.place for finding in findings] == found
