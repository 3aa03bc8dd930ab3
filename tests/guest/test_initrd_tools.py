# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tool of a guest's builds its initrds, and which lists them."""

from pathlib import Path
from typing import cast

import pytest

from tests.guest.folder import Folder
from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.initrd_tools import initrd_tool
from xen2kvmd.guest.kernels import list_initrd

INITRAMFS_TOOLS = """\
#!/bin/sh
# dracut is another one.
generate_initramfs()
{
	mkinitramfs ${OPTS} -o "${initramfs}.new" "${version}"
}
"""
OF_DRACUT = """\
#!/bin/sh
CONF=/etc/initramfs-tools/update-initramfs.conf
generate_initramfs()
{
	if dracut --force "${initramfs}.new" "${version}"; then
		mv -f "${initramfs}.new" "${initramfs}"
	fi
}
"""
UPDATE_INITRAMFS = "usr/sbin/update-initramfs"


@pytest.mark.parametrize(
    ("programs", "tool"),
    [
        ({UPDATE_INITRAMFS: INITRAMFS_TOOLS}, "initramfs-tools"),
        ({UPDATE_INITRAMFS: INITRAMFS_TOOLS, "usr/bin/dracut": ""}, "initramfs-tools"),
        ({UPDATE_INITRAMFS: OF_DRACUT, "usr/bin/dracut": ""}, "dracut"),  # Ubuntu 25.10
        ({"usr/bin/dracut": "", "sbin/mkinitrd": ""}, "dracut"),  # SLES 12
        ({"sbin/mkinitrd": ""}, "mkinitrd"),
        ({"usr/bin/mkinitcpio": "", "usr/bin/dracut": ""}, "mkinitcpio"),
        ({"sbin/mkinitfs": ""}, "mkinitfs"),
        ({}, ""),
    ],
)
def test_tool_is_the_one_that_the_next_kernel_runs(
    programs: dict[str, str], tool: str, tmp_path: Path
) -> None:
    guest = Folder(tmp_path)
    for path, text in programs.items():
        guest.write(f"/{path}", text)

    assert initrd_tool(guest) == tool


class WithListers(Folder):
    """A guest with three tools that list initrds, of which one can read this one."""

    def output(self, *command: str) -> str:
        if command[0] == "lsinitramfs":
            raise Failed("cpio: premature end of archive")
        if command[0] == "lsinitrd":
            return ""
        return "usr/lib/modules/7.0.0/kernel/drivers/block/virtio_blk.ko.zst\n"


def test_lister_that_cannot_read_an_initrd_is_not_the_last(tmp_path: Path) -> None:
    guest = WithListers(tmp_path)
    for name in ("lsinitramfs", "lsinitrd", "lsinitcpio"):
        guest.write(f"/usr/bin/{name}", "")

    assert "virtio_blk" in list_initrd(cast(Appliance, guest), "/boot/initrd.img-7.0.0")
