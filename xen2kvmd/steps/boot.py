# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a console: whether the guest booted, and if not, how far it came."""

import re
from enum import Enum

from xen2kvmd.words import without_escapes

# The kernel writes to its console whenever it likes, behind a prompt too.
_KERNEL = re.compile(r"\[ *\d+\.\d{6}\] [^\n]*")
_OFFERED = re.compile(r"^(?!Last )\S+ login:", re.MULTILINE)
_LOGIN = re.compile(r"(^|\s)\S*login: ?$", re.MULTILINE)
# cryptsetup's scripts in an initrd of Debian's, systemd-ask-password(1), GRUB.
_PASSPHRASE = re.compile(r"(unlock disk|passphrase for|Password \()[^\n]*:[^\n]*\Z", re.IGNORECASE)
_PANIC = re.compile(r"Kernel panic - not syncing", re.IGNORECASE)
_NO_ROOT = re.compile(
    r"Gave up waiting for root|ALERT!.*does not exist|Cannot open root device|"
    r"VFS: Unable to mount root|Warning: .*does not exist|dracut-initqueue.*timeout|"
    r"Could not find .*resume.*root|waiting for device .* to appear.*not found|"
    r"rootfs image is not initramfs",
    re.IGNORECASE,
)
_EMERGENCY = re.compile(
    r"Entering emergency mode|You are in emergency mode|Give root password for maintenance|"
    r"Enter 'help' for a list of built-in commands|\(initramfs\)|dracut:/#",
    re.IGNORECASE,
)
_FIRMWARE = re.compile(r"SeaBIOS|Booting from|iPXE|No bootable device|TianoCore|BdsDxe", re.I)
# The firmware has tried all that it knows, and waits for somebody at a keyboard.
_NOTHING_TO_START = re.compile(r"No bootable (option or )?device")
# What OVMF prints last, also on the serial console, before it hands over to a boot loader.
_HANDED_OVER = re.compile(r"BdsDxe: starting Boot[0-9A-F]{4}\b(?!.*\b(?:PXE|HTTP|Shell))[^\n]*\Z")
# Two words of a text screen; a picture that is read as text has none.
_WORDS = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")
_LOADER = re.compile(r"\bgrub\b|GNU GRUB|grub rescue>|SYSLINUX|Loading Linux", re.IGNORECASE)


class Fault(Enum):
    """Why a guest did not boot: in words, and what to do."""

    PANIC = ("kernel panic", "The last lines of its console have the reason.")
    NO_ROOT = (
        "it found no root device",
        "Its initrd lacks a driver for the disk, or root= names a device that is not there.",
    )
    EMERGENCY = (
        "it stopped in emergency mode",
        "A file system in its fstab, or its root, could not be mounted.",
    )
    FIRMWARE = (
        "it is stuck in the firmware",
        "No boot loader was found on its disk, or it is of the other firmware, BIOS or UEFI.",
    )
    LOADER = (
        "it is stuck in the boot loader",
        "The boot loader does not find its configuration or the kernel.",
    )
    STOPPED = ("it stopped by itself", "Look at the domain's log in /var/log/libvirt/qemu.")
    SILENT = (
        "it printed nothing",
        "It may lack a serial console. If its screen shows that it runs, migrate with --no-verify.",
    )
    SLOW = (
        "it was still booting when the time was over",
        "Give it more time with --boot-timeout SECONDS.",
    )

    @property
    def words(self) -> str:
        return self.value[0]

    @property
    def hint(self) -> str:
        return self.value[1]


def shows_login(text: str) -> bool:
    """Tell whether the console's last line asks for a login."""
    return bool(_LOGIN.search(_last_line(text)))


def offered_login(text: str) -> bool:
    """Tell whether the console asked for a login, and something was printed behind that."""
    return bool(_OFFERED.search(without_escapes(text)))


def asks_passphrase(text: str) -> bool:
    """Tell whether the console's last line asks for the passphrase of an encrypted disk."""
    return bool(_PASSPHRASE.search(_last_line(text)))


def _last_line(text: str) -> str:
    """Return the last line that a program wrote."""
    return _KERNEL.sub("", without_escapes(text)[-4000:]).rstrip("\n").rpartition("\n")[2]


def fault(text: str) -> Fault | None:
    """Return what certainly went wrong, as far as the console tells."""
    said = without_escapes(text)
    # A panic for want of a root device is that: the reason is worth more than the effect.
    if _NO_ROOT.search(said) and (_PANIC.search(said) or _EMERGENCY.search(said)):
        return Fault.NO_ROOT
    if _PANIC.search(said):
        return Fault.PANIC
    if _EMERGENCY.search(said):
        return Fault.EMERGENCY
    if _NOTHING_TO_START.search(said):
        return Fault.FIRMWARE
    return None


def silence(text: str, screen: str) -> Fault:
    """Return how far a guest came that showed neither a login nor a fault in its time."""
    said = without_escapes(text).strip()
    shown = said or screen
    if not shown:
        return Fault.SILENT
    last = "\n".join(shown.splitlines()[-25:])
    if re.search(r"^\[ *\d+\.\d+\]|systemd|Starting|Started", said, re.MULTILINE):
        return Fault.SLOW
    if _LOADER.search(last):
        return Fault.LOADER
    if _FIRMWARE.search(last):
        return Fault.FIRMWARE
    return Fault.SLOW if said else Fault.SILENT


def left_firmware(text: str, screen: str) -> bool:
    """Tell whether a guest that prints nothing by itself may run: its firmware did all it does."""
    said = without_escapes(text).strip()
    return bool(_HANDED_OVER.search(said)) if said else not _WORDS.search(screen)


def last_lines(text: str, count: int = 3) -> str:
    """Return the last lines that say anything, as one line."""
    lines = [line.strip() for line in without_escapes(text).splitlines() if line.strip()]
    return " / ".join(line[:120] for line in lines[-count:])
