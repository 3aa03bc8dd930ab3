# SPDX-License-Identifier: GPL-2.0-or-later
"""Rehearse all rules on a guest: what they would do, how the plan shows it, what to know."""

from dataclasses import dataclass, replace

from xen2kvmd.errors import Unsupported
from xen2kvmd.guest.changes import changes
from xen2kvmd.guest.operations import Operation
from xen2kvmd.guest.rehearsal_tree import Rehearsal
from xen2kvmd.guest.rules import RULES
from xen2kvmd.guest.space import room_for_files
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Change, Finding, Severity
from xen2kvmd.rule import Rule


@dataclass(frozen=True)
class Rehearsed:
    """All that the conversion will do inside the guest, and how the plan shows it."""

    operations: tuple[Operation, ...]
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


def rehearse(tree: Tree, case: Case) -> Rehearsed:
    """Run every rule over a copy in memory; nothing is written to the tree."""
    rehearsal = Rehearsal(tree)
    shown: list[Change] = []
    findings: list[Finding] = []
    for rule in RULES:
        since = len(rehearsal.operations)
        findings += attempt(rule, rehearsal, case)
        shown += changes(rule, rehearsal, since=since)
    findings += room_for_files(tree, rehearsal.operations)
    return Rehearsed(tuple(rehearsal.operations), tuple(shown), tuple(map(_escaped, findings)))


def _escaped(finding: Finding) -> Finding:
    """Make a finding safe to print: a guest may give its files any names."""
    return replace(
        finding,
        message=escaped(finding.message).replace("\n", "\\n"),
        place=escaped(finding.place).replace("\n", "\\n"),
    )


def attempt(rule: Rule[Tree], tree: Tree, case: Case) -> tuple[Finding, ...]:
    """Run a rule; a file that it cannot read is a finding, not the end.

    A guest may have a device, a fifo or a gigantic file where a configuration file belongs.
    """
    try:
        return rule(tree, case)
    except Unsupported as error:
        return (
            Finding(
                "file-not-readable",
                f'{error.message} The rest of the rule "{rule.summary}" was not applied.',
                Severity.WARNING,
                hint="Look at that file in the guest; the converted guest may not boot without it.",
            ),
        )
