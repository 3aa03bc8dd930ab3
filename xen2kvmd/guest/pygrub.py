# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for what pygrub added to the arguments of the guest's own kernel."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.cmdline import (
    GRUB_DEFAULTS,
    ROOT,
    add_to_defaults,
    edit_menus,
    edit_new_entries,
    is_linux,
    menu_lines,
    words_of,
)
from xen2kvmd.guest.grub_menu import SAFE
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule


@rule(guide="15.2.4.2")
def pygrub_arguments(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put the Xen host's kernel arguments into the guest's menu.

    pygrub adds `extra` and `root` of the configuration behind what the menu says (xl.cfg(5)), so
    that a guest may owe them its root or its console. It comes before the rules that rename those.
    """
    if not case.cmdline or case.kernel_on_host or case.direct or case.kind == "hvm":
        return
    words = words_of(case.cmdline)
    safe = [word for word in words if SAFE.fullmatch(word)]
    plain = [word for word in safe if not ROOT.fullmatch(word)]
    before = tuple(menu_lines(guest))
    yield from edit_menus(guest, lambda line: _with(line, safe) if is_linux(line) else line)
    lines = tuple(line for _, _, line in menu_lines(guest) if is_linux(line))
    left = [word for word in words if word not in safe or not any(word in line for line in lines)]
    if guest.is_file(GRUB_DEFAULTS):
        add_to_defaults(guest, plain, why="From the Xen host")
    edit_new_entries(guest, lambda line: _with(line, safe if is_linux(line) else plain))
    place = before[0][0] if before else ""
    if left:
        yield Finding(
            "arguments-of-pygrub-left",
            f"The Xen host adds '{escaped(' '.join(left))}' to the kernel's arguments, which the "
            "guest's menu does not get.",
            Severity.WARNING,
            hint="Add what the guest needs to the kernel's line of its boot menu.",
            place=place,
        )
    elif before != tuple(menu_lines(guest)):
        yield Finding(
            "arguments-of-pygrub",
            f"The Xen host adds '{escaped(case.cmdline)}' to the kernel's arguments: they are in "
            "the guest's menu now.",
            Severity.INFO,
            place=place,
        )


def _with(line: str, words: list[str]) -> str:
    """Add the arguments that a line does not have; of two roots, the kernel takes the last."""
    missing = [word for word in words if word not in line.split()]
    if any(word.startswith("root=") for word in missing):
        line = re.sub(r"(?<!\S)root=\S*[ \t]?", "", line)
    return " ".join(filter(None, (line.rstrip(), *missing)))
