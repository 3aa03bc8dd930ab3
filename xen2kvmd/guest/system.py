# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that change nothing: whether it is the right system, and one that the rules know."""

from collections.abc import Iterator

from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Family, Finding, Severity
from xen2kvmd.rule import rule


@rule(guide="")
def one_root(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make sure that the root which is converted is the one that the guest starts."""
    facts = case.facts
    if facts.other_roots:
        where = f"{facts.root}, subvolume {facts.subvolume}," if facts.subvolume else facts.root
        yield Finding(
            "several-roots",
            f"The system on {escaped(where)} is converted. These look like a root, too, "
            f"and stay as they are: {escaped(', '.join(facts.other_roots))}.",
            Severity.WARNING,
            hint="If the guest starts another one, say which: --root NAME.",
            place="/etc/fstab",
        )


@rule(guide="")
def writable_root(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make sure that the guest's root can be written to.

    A read-only subvolume, as of systems that are updated as a whole, is not made writable here: it
    is a snapshot that its owner trusts to stay as it was.
    """
    facts = case.facts
    if facts.read_only:
        yield Finding(
            "root-read-only",
            f"The guest's root, subvolume '{escaped(facts.subvolume)}' of {facts.root}, is "
            "read-only: nothing in it can be changed.",
            Severity.BLOCKER,
            hint="In the guest: btrfs property set -ts / ro false. Set it true again in the new "
            "guest.",
            place="/",
        )


@rule(guide="")
def known_distribution(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make sure that the guest is of a distribution whose files and tools are known."""
    facts = case.facts
    if facts.family is Family.LINUX:
        yield Finding(
            "distribution-unknown",
            f"The guest is {escaped(facts.product or facts.distro)}, a Linux that xen2kvm has no "
            "rules of its own for: the rules for any Linux are applied.",
            Severity.WARNING,
            hint="Look whether its initrd and boot menu are among the changes, or have "
            "virtio already.",
        )
