# SPDX-License-Identifier: GPL-2.0-or-later
"""Look at the converted guest for real: what a rehearsal could only promise."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.cmdline import menu_lines
from xen2kvmd.guest.devices import unmapped_in
from xen2kvmd.guest.kernels import initrd_lacks
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.partitions import has_boot_code, read_table
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Firmware, Severity

_XEN_DISK = re.compile(r"/dev/xvd[a-z]+[0-9]*")
_XEN = re.compile(rf"{_XEN_DISK.pattern}|console=[hx]vc[0-9]*")


def check(appliance: Appliance, case: Case) -> tuple[Finding, ...]:
    """Return what keeps the guest from booting, or may; nothing is changed."""
    return (*_initrd(appliance, case), *check_menu(appliance, case), *_boot_code(appliance, case))


def _initrd(appliance: Appliance, case: Case) -> Iterator[Finding]:
    for kernel in case.facts.kernels[:1] if case.facts.virtio else ():  # else on emulated disks
        lacks = initrd_lacks(appliance, kernel)
        if lacks is None:
            yield Finding(
                "initrd-not-read",
                f"Nothing here could read {kernel.initrd}: whether it has the drivers for the "
                "guest's disks is not known.",
                Severity.WARNING,
                hint="Look for virtio_blk and virtio_pci in it, by the guest's own tool.",
                place=kernel.initrd,
            )
        elif lacks:
            yield Finding(
                "initrd-lacks-virtio",
                f"{kernel.initrd or kernel.image} still lacks {', '.join(lacks)}: the guest would "
                "not find its root disk.",
                Severity.BLOCKER,
                hint="Build it with these drivers in the guest under Xen, then migrate again.",
                place=kernel.initrd,
            )


def check_menu(tree: Tree, case: Case) -> Iterator[Finding]:
    """Yield what of the boot menu still names devices of Xen."""
    menu = None if case.direct else read_menu(tree)
    root = menu.default.root if menu and menu.default else ""
    if menu and (_XEN_DISK.fullmatch(root) or _is_no_disk(root, case)):
        yield Finding(
            "default-root-names-xen",
            f"The default entry of {menu.path} has root={root}, which is not there under KVM.",
            Severity.BLOCKER,
            hint="Give it root=UUID=... in what the guest's boot menu is made of, then migrate "
            "again.",
            place=menu.path,
        )
    lines: dict[tuple[str, str], list[int]] = {}
    for path, number, line in menu_lines(tree):
        for name in dict.fromkeys(_XEN.findall(line)):
            lines.setdefault((path, name), []).append(number)
    for (path, name), numbers in lines.items():
        shown = ", ".join(map(str, numbers))
        yield Finding(
            "menu-names-xen",
            f"{path} still has {name}: line{'s' if numbers[1:] else ''} {shown}.",
            Severity.WARNING,
            hint="Correct it in the guest's boot loader configuration.",
            place=f"{path}:{numbers[0]}",
        )


def _is_no_disk(root: str, case: Case) -> bool:
    """Tell whether a root is an emulated disk of Xen's that no rule could name anew."""
    return bool(case.devices) and any(unmapped_in(root, case, path="", number=0))


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
