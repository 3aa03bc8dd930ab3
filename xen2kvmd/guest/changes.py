# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plan shows of a rule: a diff for each file, each program, and the boot code."""

import hashlib
from collections.abc import Iterator
from difflib import unified_diff

from xen2kvmd.guest.operations import Attempt, Copy, Divide, Install, Link, Remove, Run, Write
from xen2kvmd.guest.rehearsal_tree import Entry, Rehearsal, shown
from xen2kvmd.guest.tree import BootCode, Tree, escaped
from xen2kvmd.model import Change
from xen2kvmd.rule import Rule

SECTOR = 512


def changes(rule: Rule[Tree], rehearsal: Rehearsal, *, since: int) -> Iterator[Change]:
    """Tell what a rule did in a rehearsal after its first `since` operations."""
    last: dict[str, Entry] = {}
    for step in rehearsal.operations[since:]:
        match step:
            case Write() | Link() | Copy() | Remove():
                last[step.path] = step
            case Run(command=command) | Attempt(command=command):
                yield _change(rule, place="a program of the guest", command=command)
            case Divide():
                yield _change(rule, place=f"disk {step.disk}", diff=_partition(step))
            case Install(code=code):
                yield _change(rule, place=_sectors(code), diff=_boot_code(code))
    for path, step in last.items():
        old, new = rehearsal.before(path, step, since=since), shown(step)
        if old != new:
            yield _change(rule, place=path, diff=_diff(path, old, new))


def _change(
    rule: Rule[Tree], *, place: str, diff: str = "", command: tuple[str, ...] = ()
) -> Change:
    return Change(
        rule.name,
        rule.guide,
        rule.summary,
        place=escaped(place).replace("\n", "\\n"),
        diff=escaped(diff),
        command=tuple(map(escaped, command)),
    )


def _diff(path: str, old: list[str] | None, new: list[str] | None) -> str:
    name = path.lstrip("/").replace("\n", "\\n")
    before = "/dev/null" if old is None else f"a/{name}"
    after = "/dev/null" if new is None else f"b/{name}"
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in unified_diff(old or [], new or [], before, after)
    )


def _partition(step: Divide) -> str:
    last = step.start + step.sectors - 1
    return f"+ BIOS boot partition for GRUB in sectors {step.start}-{last}, which are free\n"


def _sectors(code: BootCode) -> str:
    last = code.sector + -(-len(code.core) // SECTOR) - 1
    return f"disk {code.disk}, sectors 0 and {code.sector}-{last}"


def _boot_code(code: BootCode) -> str:
    digest = hashlib.sha256(code.boot + code.core).hexdigest()
    return (
        f"+ GRUB for BIOS: {len(code.boot)} bytes in sector 0 (the partition table stays), and\n"
        f"+ {len(code.core)} bytes from sector {code.sector}; sha256 of both {digest}\n"
        f"+ GRUB's modules from {code.modules} in {code.into}\n"
    )
