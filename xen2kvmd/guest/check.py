# SPDX-License-Identifier: GPL-2.0-or-later
"""Look at the converted guest for real: what a rehearsal could only promise."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.cmdline import menu_lines
from xen2kvmd.guest.kernels import initrd_lacks
from xen2kvmd.guest.partitions import has_boot_code, read_table
from xen2kvmd.model import Case, Finding, Firmware, Severity

_XEN = re.compile(r"/dev/xvd[a-z]+[0-9]*|console=[hx]vc[0-9]*")


def check(appliance: Appliance, case: Case) -> tuple[Finding, ...]:
    """Return what would keep the guest from booting; nothing is changed."""
    return (*_initrd(appliance, case), *_menu(appliance), *_boot_code(appliance, case))


def _initrd(appliance: Appliance, case: Case) -> Iterator[Finding]:
    for kernel in case.facts.kernels[:1]:
        lacks = initrd_lacks(appliance, kernel)
        if lacks:
            yield Finding(
                "initrd-lacks-virtio",
                f"{kernel.initrd or kernel.image} still lacks {', '.join(lacks)}: the guest would "
                "not find its root disk.",
                Severity.BLOCKER,
                hint="Build it with these drivers in the guest under Xen, then migrate again.",
                place=kernel.initrd,
            )


def _menu(appliance: Appliance) -> Iterator[Finding]:
    for path, number, line in menu_lines(appliance):
        for name in _XEN.findall(line):
            yield Finding(
                "menu-names-xen",
                f"{path}, line {number}, still has {name}.",
                Severity.WARNING,
                hint="Correct it in the guest's boot loader configuration.",
                place=f"{path}:{number}",
            )


def _boot_code(appliance: Appliance, case: Case) -> Iterator[Finding]:
    if case.direct or case.facts.firmware is not Firmware.BIOS or not case.facts.boot_disk:
        return
    disk = next(device for device, dev in appliance.devices.items() if dev == case.facts.boot_disk)

    def read(sector: int, count: int) -> bytes:
        return appliance.read_bytes(disk, offset=sector * 512, size=count * 512)

    if not has_boot_code(read, read_table(read)):
        yield Finding(
            "no-boot-code",
            f"Disk {case.facts.boot_disk} has no boot code: the guest would hang at "
            '"Booting from Hard Disk...".',
            Severity.BLOCKER,
            hint="Install GRUB for BIOS in the guest (grub-pc), then migrate again.",
        )
