# SPDX-License-Identifier: GPL-2.0-or-later
"""What starts the guest's services is what the kernel starts, not what is installed."""

from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest.init_system import init_system

CHOSEN = "/etc/alternatives/init"
SYSTEMD, OLD = "/lib/systemd/systemd", "/sbin/init"
MENU = "menuentry 'a' {{\n linux /vmlinuz root=UUID=1 {}\n}}\n"


@pytest.mark.parametrize(
    ("files", "links", "arguments", "found"),
    [
        ([SYSTEMD], {OLD: SYSTEMD}, "", "systemd"),
        (["/usr/lib/systemd/systemd"], {OLD: "../usr/lib/systemd/systemd"}, "", "systemd"),
        ([SYSTEMD, OLD], {}, "", "sysvinit"),  # Debian's sysvinit-core
        ([SYSTEMD, OLD], {}, f"init={SYSTEMD}", "systemd"),
        ([SYSTEMD, OLD], {"/bin/systemd": SYSTEMD}, "init=/bin/systemd", "systemd"),  # Debian 7
        ([SYSTEMD, "/sbin/openrc-init"], {OLD: "openrc-init"}, "", "sysvinit"),
        ([SYSTEMD], {OLD: CHOSEN, CHOSEN: SYSTEMD}, "", "systemd"),
        ([SYSTEMD], {OLD: "init"}, "", "sysvinit"),  # leads to itself
        ([SYSTEMD], {}, "", "systemd"),  # of an image without the link
        ([OLD, "/sbin/initctl"], {}, "", "upstart"),
        ([OLD], {}, "", "sysvinit"),
    ],
)
def test_init_is_what_the_kernel_starts(
    files: list[str], links: dict[str, str], arguments: str, found: str, tmp_path: Path
) -> None:
    guest = Folder(tmp_path)
    for path in files:
        guest.write(path, "")
    for path, target in links.items():
        guest.link(path, target)
    guest.write("/boot/grub/grub.cfg", MENU.format(arguments))

    assert init_system(guest) == found
