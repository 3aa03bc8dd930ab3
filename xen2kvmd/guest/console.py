# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the console: hvc0 and xvc0 are Xen's, ttyS0 is the serial port of a KVM guest."""

import re
from collections.abc import Iterator, Sequence

from xen2kvmd.guest import openrc
from xen2kvmd.guest.cmdline import (
    GRUB_DEFAULTS,
    add_to_defaults,
    edit_defaults,
    edit_menus,
    edit_new_entries,
    is_linux,
    menu_lines,
)
from xen2kvmd.guest.serial_login import (
    INITTAB,
    SERIAL_CONSOLE,
    UPSTART_SERIAL,
    offer_login,
    starts_by_itself,
)
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_XEN = re.compile(r"\b[hx]vc[0-9]+\b")
_XEN_CONSOLE = re.compile(r"console=[hx]vc[0-9]*(?:,.*)?")
_SYSCONFIG_INIT = "/etc/sysconfig/init"
_ACTIVE = re.compile(r"^[ \t]*ACTIVE_CONSOLES=.*$", re.MULTILINE)
_XEN_TERMINAL = re.compile(r"[ \t]/dev/[hx]vc[0-9]+(?!\w)|(?<=[\"'=])/dev/[hx]vc[0-9]+(?!\w)[ \t]*")
_UNIT_FOLDERS = "/etc/systemd/system/*.wants"
_GETTY = re.compile(r".*getty@[hx]vc[0-9]+\.service")


@rule(guide="15.2.3 (4)")
def kernel_console(guest: Tree, case: Case) -> Iterator[Finding]:
    """Send the kernel's console to ttyS0 instead of Xen's hvc0 or xvc0.

    hvc0 is not there under KVM: a kernel told to use it boots silently, and init has no console.

    Where nothing is said, a paravirtualised kernel took hvc0 by itself, and one under KVM takes no
    serial port: it is told to, so that the guest keeps its text console and its boot can be seen.
    Other guests keep their screen as the console, and have the serial port beside it. Where init
    starts no login prompt there, it is told to: it shows that the guest booted.
    """

    def edit(line: str) -> str:
        replaced = serial_console(line)
        return replaced if case.direct else with_serial(replaced, case)

    before = tuple(menu_lines(guest))
    edit_defaults(guest, serial_console)
    yield from edit_menus(guest, edit)
    after = zip(before, menu_lines(guest), strict=True)
    added = [
        (path, number)
        for (_, _, old), (path, number, new) in after
        if new == edit(old) != serial_console(old)
    ]
    if added:
        words = _consoles(case)
        if guest.is_file(GRUB_DEFAULTS) and not _in_force(guest, "console=ttyS"):
            add_to_defaults(guest, words, why="A serial console")
        edit_new_entries(guest, lambda line: _added(line, case))
        offered = offer_login(guest, case.facts.init)
        path, number = added[0]
        yield Finding(
            "serial-console-added",
            "The guest's kernel gets console=ttyS0: it had no serial console.",
            Severity.INFO,
            hint="Its login prompt there shows that it booted: virsh console NAME."
            if offered
            else "Its messages can be read there, it asks for no login: virsh console NAME.",
            place=f"{path}:{number}",
        )


def _in_force(guest: Tree, argument: str) -> bool:
    """Tell whether the next menu has an argument already, in whichever variable."""
    lines = guest.read(GRUB_DEFAULTS).splitlines()
    return any(argument in line for line in lines if not line.lstrip().startswith("#"))


def with_serial(cmdline: str, case: Case) -> str:
    """Give a kernel that mounts a root, and has no serial console, one.

    The last console is /dev/console: one that is said already stays that.
    """
    return _added(cmdline, case) if is_linux(cmdline) else cmdline


def _added(cmdline: str, case: Case) -> str:
    if "console=ttyS" in cmdline:
        return cmdline
    first = re.search(r"(?<!\S)console=", cmdline)
    if first:
        return f"{cmdline[: first.start()]}console=ttyS0 {cmdline[first.start() :]}"
    return f"{cmdline.rstrip()} {' '.join(_consoles(case))}".lstrip()


def _consoles(case: Case) -> tuple[str, str]:
    both = ("console=tty0", "console=ttyS0")
    return both if case.paravirtual else both[::-1]


def serial_console(cmdline: str) -> str:
    """Put console=ttyS0 once in place of Xen's consoles.

    At the last place of any of them, because the kernel's last console is /dev/console; a speed
    that stands with ttyS0 already stays with it.
    """
    words = re.split(r"(\s+)", cmdline)
    xen = [at for at, word in enumerate(words) if _XEN_CONSOLE.fullmatch(word)]
    words = ["" if word.startswith("xencons=") else word for word in words]
    if xen:
        serial = [at for at, word in enumerate(words) if SERIAL_CONSOLE.fullmatch(word)]
        chosen = words[serial[0]] if serial else "console=ttyS0"
        for at in (*xen, *serial):
            words[at] = ""
        words[max(*xen, *serial, 0)] = chosen
    joined = "".join(words)
    return cmdline if joined == cmdline else re.sub(r"[ \t]{2,}", " ", joined).strip()


@rule(guide="15.2.3 (1)")
def systemd_getty(guest: Tree, case: Case) -> Iterator[Finding]:
    """Offer the login prompt of Xen's console on ttyS0.

    A getty on a console that is not there is started again and again.
    """
    for path in guest.glob(f"{_UNIT_FOLDERS}/*getty@*"):
        if not _GETTY.fullmatch(path):
            continue
        folder = path.rpartition("/")[0]
        guest.remove(path)
        if path.endswith(("hvc0.service", "xvc0.service")):
            _enable_serial_getty(guest, folder)
    for path in guest.glob("/etc/systemd/system/*getty@[hx]vc*.service.d/*"):
        yield Finding(
            "getty-drop-in",
            f"{path} changes how the login prompt on Xen's console is started.",
            Severity.INFO,
            hint="It stays and has no effect. Copy it to serial-getty@ttyS0.service.d if ttyS0 "
            "shall have it too.",
            place=path,
        )


def _enable_serial_getty(guest: Tree, folder: str) -> None:
    for template in ("/lib/systemd/system", "/usr/lib/systemd/system"):
        if guest.exists(f"{template}/serial-getty@.service"):
            link = f"{folder}/serial-getty@ttyS0.service"
            if not guest.exists(link):
                guest.link(link, f"{template}/serial-getty@.service")
            return


@rule(guide="15.2.3 (1)")
def inittab_getty(guest: Tree, case: Case) -> Iterator[Finding]:
    """Move gettys in /etc/inittab from Xen's console to ttyS0.

    One of them: two gettys on one line fight for every key.
    """
    if not guest.is_file(INITTAB):
        return
    lines = guest.read(INITTAB).splitlines(keepends=True)
    taken = any(re.search(r"\bttyS0\b", line) for line in lines if not line.startswith("#"))
    moved = []
    for line in lines:
        if line.startswith("#") or not _XEN.search(line):
            moved.append(line)
        elif not taken:
            moved.append(_serial_line(line, lines))
            taken = True
    guest.write(INITTAB, "".join(moved))
    yield from ()


def _serial_line(line: str, lines: Sequence[str]) -> str:
    """Move a line of inittab(5) to ttyS0; its id has four characters at most, and is no other's.

    For busybox, whose lines need no id (Alpine), it is no name: it is the terminal.
    """
    own, colon, rest = line.partition(":")
    if any(other.startswith("::") for other in lines):
        own = _XEN.sub("ttyS0", own)
    elif _XEN.fullmatch(own):
        own = "x0" if any(other.startswith("S0:") for other in lines) else "S0"
    return own + colon + _XEN.sub("ttyS0", rest)


@rule(guide="15.2.3 (1)")
def openrc_getty(guest: Tree, case: Case) -> Iterator[Finding]:
    """Move OpenRC's gettys from Xen's console to ttyS0, unless there is one already."""
    lines = guest.read(INITTAB).splitlines() if guest.is_file(INITTAB) else []
    by_init = any(re.search(r"\bttyS0\b", line) for line in lines if not line.startswith("#"))
    by_init = by_init and not openrc.starts_first(guest)
    for path in openrc.of_xen(guest):
        openrc.move(guest, path, taken=by_init or openrc.is_started(guest))
    yield from ()


@rule(guide="15.2.3 (1)")
def upstart_getty(guest: Tree, case: Case) -> Iterator[Finding]:
    """Move upstart's gettys from Xen's console to ttyS0.

    serial.conf of RHEL 6 starts one by itself where the serial port is the kernel's last console.
    Those of its ACTIVE_CONSOLES are mingetty's, which is for screens: ttyS0 gets a job of its own.
    """
    started = starts_by_itself(guest)
    for path in guest.glob("/etc/init/[hx]vc*.conf"):
        if not (started or guest.exists(UPSTART_SERIAL)):
            guest.write(UPSTART_SERIAL, _XEN.sub("ttyS0", guest.read(path)))
        guest.remove(path)
    if case.facts.init == "upstart" and guest.is_file(_SYSCONFIG_INIT):
        text = guest.read(_SYSCONFIG_INIT)
        without = _ACTIVE.sub(lambda found: _XEN_TERMINAL.sub("", found[0]), text)
        if without != text:
            guest.write(_SYSCONFIG_INIT, without)
            offer_login(guest, case.facts.init)
    yield from ()


@rule(guide="15.2.3 (2)")
def securetty(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let root log in on ttyS0 where it could on Xen's console (/etc/securetty)."""
    path = "/etc/securetty"
    if not guest.is_file(path):
        return
    lines = guest.read(path).splitlines(keepends=True)
    allowed = any(line.strip() == "ttyS0" for line in lines)
    kept = []
    for line in lines:
        if not _XEN.fullmatch(line.strip()):
            kept.append(line)
        elif not allowed:
            kept.append(_XEN.sub("ttyS0", line))
            allowed = True
    guest.write(path, "".join(kept))
    yield from ()
