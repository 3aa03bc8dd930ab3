# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for what pygrub added to the arguments of the guest's own kernel."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.cmdline import GRUB_DEFAULTS, add_to_defaults, edit_menus, menu_lines
from xen2kvmd.guest.grub_menu import ROOT, SAFE
from xen2kvmd.guest.tree import Tree, printable
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule


@rule(guide="15.2.4.2")
def pygrub_arguments(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put the Xen host's kernel arguments into the guest's menu.

    pygrub adds `extra` and `root` of the configuration behind what the menu says (xl.cfg(5)), so
    that a guest may owe them its root or its console. It comes before the rules that rename those.
    """
    words = case.cmdline.split()
    if not words or case.kernel_on_host or case.direct or case.kind == "hvm":
        return
    before = tuple(menu_lines(guest))
    yield from edit_menus(guest, lambda line: _with(line, words))
    if tuple(menu_lines(guest)) == before:
        return
    safe = [word for word in words if SAFE.fullmatch(word) and not ROOT.fullmatch(word)]
    if guest.is_file(GRUB_DEFAULTS):
        add_to_defaults(guest, safe, why="From the Xen host")
    yield Finding(
        "arguments-of-pygrub",
        f"The Xen host adds '{printable(case.cmdline)}' to the kernel's arguments: they are in the "
        "guest's menu now.",
        Severity.INFO,
        place=before[0][0],
    )


def _with(line: str, words: list[str]) -> str:
    """Add the arguments that a Linux does not have; of two roots, the kernel takes the last."""
    there = line.split()
    if there and not any(ROOT.fullmatch(word) for word in there):
        return line  # of a hypervisor, or a memory test
    missing = [word for word in words if word not in there]
    if any(word.startswith("root=") for word in missing):
        line = re.sub(r"(?<!\S)root=\S*[ \t]?", "", line)
    return " ".join(filter(None, (line.rstrip(), *missing)))
