# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that change nothing: whether it is the right system, and one that the rules know."""

from collections.abc import Iterator

from xen2kvmd.guest.tree import Tree, printable
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule


@rule(guide="")
def one_root(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make sure that the root which is converted is the one that the guest starts."""
    facts = case.facts
    if facts.other_roots:
        yield Finding(
            "several-roots",
            f"The system on {printable(facts.root)} is converted. These look like a root, too, "
            f"and stay as they are: {printable(', '.join(facts.other_roots))}.",
            Severity.WARNING,
            hint="If the guest starts another one, say which: --root DEVICE.",
            place="/etc/fstab",
        )
