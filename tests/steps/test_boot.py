# SPDX-License-Identifier: GPL-2.0-or-later
"""What a console tells, on the last words of guests that did and did not boot."""

import pytest

from xen2kvmd.steps.boot import Fault, asks_passphrase, fault, last_lines, shows_login, silence
from xen2kvmd.words import without_escapes

LOGIN = "[  OK  ] Reached target Multi-User System.\r\n\r\nDebian GNU/Linux 12\r\n\r\nweb1 login: "

# What Debian's, dracut's and SUSE's initrds and the kernel itself print.
NO_ROOT_DEBIAN = """\
Gave up waiting for root file system device.  Common problems:
 - Boot args (cat /proc/cmdline)
ALERT!  /dev/xvda1 does not exist.  Dropping to a shell!
(initramfs) """
NO_ROOT_DRACUT = """\
[  190.1] dracut-initqueue[250]: Warning: dracut-initqueue timeout - starting timeout scripts
Warning: /dev/xvda2 does not exist
Entering emergency mode. Exit the shell to continue.
dracut:/# """
NO_ROOT_KERNEL = """\
[    1.5] VFS: Cannot open root device "xvda1" or unknown-block(0,0): error -6
[    1.6] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
[    1.7] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---"""
PANIC = "[    1.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"
EMERGENCY = """\
You are in emergency mode. After logging in, type "journalctl -xb" to view
Give root password for maintenance
(or press Control-D to continue): """


@pytest.mark.parametrize(
    "text",
    [
        LOGIN,
        "\x1b[0m\x1b[37mWelcome to SLES 15\x1b[m\r\nsles login:",
        f"{LOGIN}[    3.718142] IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready\r\n",
        f"{LOGIN}[    3.718142] IPv6: {'x' * 500}\r\n[    4.000001] random: crng init done\r\n",
        "CentOS release 5.11 (Final)\r\nKernel 2.6.18\r\n\r\nlocalhost.localdomain login: ",
    ],
)
def test_login_prompt_is_seen(text: str) -> None:
    assert shows_login(text)
    assert fault(text) is None


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Volume group not found\r\nPlease unlock disk xvda2_crypt: ", True),
        ("\U0001f510 Please enter passphrase for disk luks-5a: (press TAB for no echo) ", True),
        ("Enter passphrase for hd0,msdos1 (5a0c): ", True),
        ("Password (luks-5a0c): ", True),
        ("Please unlock disk xvda2_crypt: \r\ncryptsetup: set up successfully\r\n", False),
        ("[    4.1] systemd[1]: Starting passphrase for nobody\r\n", False),
        (LOGIN, False),
        ("web1 login: root\r\nPassword: ", False),
    ],
)
def test_question_for_a_passphrase_is_seen(text: str, *, asks: bool) -> None:
    assert asks_passphrase(text) is asks


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[   12.0] systemd-logind[300]: New seat seat0.\r\n",
        "Starting systemd-logind.service - User Login Management...\r\n",
        "web1 login: root\r\nPassword: ",
        "Last login: Mon Nov 23 from 10.0.0.1\r\nroot@web1:~# ",
    ],
)
def test_other_output_is_no_login_prompt(text: str) -> None:
    assert not shows_login(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NO_ROOT_DEBIAN, Fault.NO_ROOT),
        (NO_ROOT_DRACUT, Fault.NO_ROOT),
        (NO_ROOT_KERNEL, Fault.NO_ROOT),
        (PANIC, Fault.PANIC),
        (EMERGENCY, Fault.EMERGENCY),
        ("BdsDxe: No bootable option or device was found.\r\nPress any key", Fault.FIRMWARE),
        ("[ 3.0] systemd[1]: Starting Rule-based Manager...", None),
    ],
)
def test_fault_is_named(text: str, expected: Fault | None) -> None:
    assert fault(text) is expected


@pytest.mark.parametrize(
    ("text", "screen", "expected"),
    [
        ("", "", Fault.SILENT),
        ("", "SeaBIOS (version 1.16.2)\n\nBooting from Hard Disk...", Fault.FIRMWARE),
        ("", "Booting from Hard Disk...\nGRUB loading.\ngrub rescue>", Fault.LOADER),
        ("BdsDxe: No bootable option or device was found.", "", Fault.FIRMWARE),
        ("[    1.0] Linux version 6.1.0\n[    2.0] ext4 mounted", "", Fault.SLOW),
        ("[  OK  ] Started systemd-journald", "", Fault.SLOW),
    ],
)  # fmt: skip
def test_silence_tells_how_far_it_came(text: str, screen: str, expected: Fault) -> None:
    assert silence(text, screen) is expected


def test_last_lines_are_plain() -> None:
    assert last_lines("a\r\n\x1b[31mb\x1b[0m\r\n\r\n c \r\n") == "a / b / c"
    assert without_escapes("\x1b[?25l\x1b(Bx\x07") == "x"
