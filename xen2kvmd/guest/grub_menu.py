# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for a guest that never had a boot menu, because its Xen host had its kernel.

Under KVM it starts by itself, so its boot loader needs to be told what to start.
"""

import re
from collections.abc import Iterator

from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.tree import Tree, printable
from xen2kvmd.model import BootArea, Case, Facts, Finding, Kernel, Severity
from xen2kvmd.rule import rule

_SPECIAL = re.compile(r"([^\w\s=/.,:+@%-])")  # what GRUB's script might read as more than text
_HEAD = """\
# The first menu of this guest, made by xen2kvm: under Xen the host had its kernel.
set default=0
set timeout=5
"""
_ENTRY = """
menuentry '{title}' {{
\tlinux {folder}/{image} {arguments}
{initrd}}}
"""


@rule(guide="15.2.3 (6)")
def first_menu(guest: Tree, case: Case) -> Iterator[Finding]:
    """Give a guest with a kernel and without a boot menu one, with the Xen host's arguments.

    It names disks and console as Xen does: it comes before the rules that change those. A guest
    with a tool for that makes its own menu of this one afterwards.
    """
    facts = case.facts
    if not facts.gets_menu or read_menu(guest) is not None:
        return
    path = f"{facts.boot_area.folder}/grub.cfg"
    arguments = _arguments(case)
    entries = "".join(_entry(facts, kernel, arguments) for kernel in facts.kernels if kernel.virtio)
    guest.write(path, _HEAD + entries)
    yield Finding(
        "menu-made",
        f"The guest has no boot menu: it gets one that starts kernel {facts.kernels[0].version} "
        f"with the Xen host's arguments, as KVM names disks and console: '{arguments}'.",
        Severity.INFO,
        hint="Where the guest has /etc/default/grub, put others than root and console there: its "
        "next menu is made of that.",
        place=path,
    )


def _entry(facts: Facts, kernel: Kernel, arguments: str) -> str:
    folder = _seen_by_grub(facts.boot_area)
    initrd = kernel.initrd.rpartition("/")[2]
    return _ENTRY.format(
        title=printable(facts.product or "Linux").replace("'", "") + f", Linux {kernel.version}",
        folder=folder,
        image=kernel.image.rpartition("/")[2],
        arguments=_SPECIAL.sub(r"\\\1", arguments),
        initrd=f"\tinitrd {folder}/{initrd}\n" if initrd else "",
    )


def _seen_by_grub(area: BootArea) -> str:
    """Return /boot as it is seen from the root of its file system."""
    return area.prefix.rpartition("/")[0]


def _arguments(case: Case) -> str:
    """Return what the Xen host gave the kernel, with a root and a console in any case."""
    words = case.cmdline.split()
    if not any(word.startswith("root=") for word in words):
        words = [f"root={case.facts.root}", "ro", *words]
    if not any(word.startswith("console=") for word in words):
        words.append("console=hvc0")
    return " ".join(words)
