# SPDX-License-Identifier: GPL-2.0-or-later
"""A login prompt on a guest's serial console, where its init starts none by itself."""

import re
from collections.abc import Sequence

from xen2kvmd.guest import openrc
from xen2kvmd.guest.cmdline import is_linux, menu_lines, words_of
from xen2kvmd.guest.programs import find_program
from xen2kvmd.guest.tree import Tree

SERIAL_CONSOLE = re.compile(r"console=ttyS0(?:,.*)?")
INITTAB = "/etc/inittab"
UPSTART_SERIAL = "/etc/init/ttyS0.conf"
# Xen's consoles too: these gettys are moved to ttyS0 by rules of their own (guest/console.py).
_TERMINAL = re.compile(r"\b(?:ttyS0|[hx]vc[0-9]+)\b")
_UPSTART_JOBS = ("/etc/init/*ttyS0*.conf", "/etc/init/[hx]vc*.conf")
# As distributions have it, for a person to take the number sign away (SLES 11, Debian 7, Alpine).
_COMMENTED = re.compile(
    r"#[ \t]?(\w{1,5})(:\d*:respawn:(/\S*/a?getty)[ \t](?:.*[ \t])?(?:/dev/)?ttyS0\b.*\n?)"
)
_IDS = ("S0", "T0", *(f"x{number}" for number in range(10)))
# agetty, and getty of busybox, take the speed before the line.
_GETTY = "{program} -L 115200 ttyS0 vt102"
_JOB = """\
# ttyS0 - getty
start on stopped rc RUNLEVEL=[2345]
stop on runlevel [!2345]
respawn
exec {getty}
"""


def offer_login(guest: Tree, init: str) -> bool:
    """Have a login prompt on ttyS0, the kernel's console; return whether there will be one.

    systemd starts one for each console of the kernel (systemd-getty-generator(8)), upstart of
    RHEL 6 for the last of them, and others for none that their configuration does not name. With
    OpenRC an init that reads inittab starts it, as a rule, or a service.
    """
    if init == "systemd":
        return True
    if init != "upstart" and (openrc.has_getty(guest) or openrc.starts_first(guest)):
        return openrc.start(guest)
    program = find_program(guest, "agetty") or find_program(guest, "getty")
    getty = _GETTY.format(program=program) if program else ""
    return _by_upstart(guest, getty) if init == "upstart" else _by_inittab(guest, getty)


def starts_by_itself(guest: Tree) -> bool:
    """Tell whether serial.conf of RHEL 6 starts a getty: if ttyS0 is the kernel's last console."""
    return guest.exists("/etc/init/serial.conf") and _is_last_console(guest)


def _is_last_console(guest: Tree) -> bool:
    """Tell whether ttyS0 is /dev/console in every entry of the boot menu."""
    lines = (words_of(line) for _, _, line in menu_lines(guest) if is_linux(line))
    consoles = ([word for word in words if word.startswith("console=")] for words in lines)
    return all(found and SERIAL_CONSOLE.fullmatch(found[-1]) for found in consoles)


def _by_upstart(guest: Tree, getty: str) -> bool:
    if starts_by_itself(guest) or any(map(guest.glob, _UPSTART_JOBS)):
        return True
    if getty:
        guest.write(UPSTART_SERIAL, _JOB.format(getty=getty))
    return bool(getty)


def _by_inittab(guest: Tree, getty: str) -> bool:
    """Take the line that is commented out, or add one (inittab(5)); an id is no other line's."""
    lines = guest.read(INITTAB).splitlines(keepends=True) if guest.is_file(INITTAB) else []
    used = [line for line in lines if not line.lstrip().startswith("#")]
    if there := [line for line in used if _TERMINAL.search(line)]:
        return any(":respawn:" in line for line in there)
    commented = ((at, _COMMENTED.fullmatch(line)) for at, line in enumerate(lines))
    for at, found in commented:
        if found and guest.exists(found[3]):
            lines[at] = _id(used, found[1]) + found[2]
            guest.write(INITTAB, "".join(lines))
            return True
    if not (lines and getty):
        return False
    text = "".join(lines)
    newline = "" if text.endswith("\n") else "\n"
    is_busybox = any(line.startswith("::") for line in used)  # its ids are terminals
    own = "ttyS0:" if is_busybox else f"{_id(used)}:2345"
    guest.write(INITTAB, f"{text}{newline}{own}:respawn:{getty}\n")
    return True


def _id(used: Sequence[str], wanted: str = "S0") -> str:
    """Return an id that no line has: the one that is wanted, if it is free."""
    taken = {line.partition(":")[0].strip() for line in used}
    return next((name for name in (wanted, *_IDS) if name not in taken), wanted)
