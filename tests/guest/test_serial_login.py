# SPDX-License-Identifier: GPL-2.0-or-later
"""The finding promises a login prompt on the serial console only where there will be one."""

from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.guest.console import kernel_console
from xen2kvmd.model import Case, Facts

MENU = "title a\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6 ro root=/dev/xvda2\n"


@pytest.mark.parametrize(
    ("init", "files", "promised"),
    [
        ("systemd", (), True),
        ("upstart", ("/sbin/getty",), True),
        ("upstart", (), False),
        ("sysvinit", ("/etc/inittab", "/sbin/agetty"), True),
        ("sysvinit", ("/etc/inittab",), False),
        ("sysvinit", ("/sbin/agetty",), False),
    ],
)
def test_hint_promises_what_comes(
    tmp_path: Path, init: str, files: tuple[str, ...], *, promised: bool
) -> None:
    guest = Folder(tmp_path)
    guest.write("/boot/grub/menu.lst", MENU)
    for path in files:
        guest.write(path, "id:3:initdefault:\n")

    (finding,) = kernel_console(guest, Case(kind="hvm", facts=Facts(init=init)))

    assert finding.id == "serial-console-added"
    assert ("Its login prompt there" in finding.hint) is promised


def test_line_that_starts_none_is_not_counted(tmp_path: Path) -> None:
    guest = Folder(tmp_path)
    guest.write("/boot/grub/menu.lst", MENU)
    guest.write("/sbin/agetty", "")
    guest.write("/etc/inittab", "S0:2345:off:/sbin/agetty -L 9600 ttyS0 vt102\n")

    (finding,) = kernel_console(guest, Case(kind="hvm", facts=Facts(init="sysvinit")))

    assert "no login" in finding.hint
    assert guest.read("/etc/inittab").startswith("S0:2345:off:")
