# SPDX-License-Identifier: GPL-2.0-or-later
"""No word of libvirt's schema is without a decision, and the manual says what the rules do."""

from pathlib import Path

import pytest

from tests.domain.samples import check_file
from xen2kvmd.domain import RULES
from xen2kvmd.domain.decisions import DECISIONS, Fate, decide
from xen2kvmd.domain.manual import manual
from xen2kvmd.domain.schema import SCHEMAS, Vocabulary, read_schema

CHECKOUT = Path(__file__).parents[2]
needs_libvirt = pytest.mark.skipif(not SCHEMAS.exists(), reason="libvirt is not installed")


@needs_libvirt
def test_every_word_of_the_installed_schema_is_known() -> None:
    known = set(Vocabulary.shipped().paths())
    assert set(read_schema().paths()) <= known, "run: python3 -m xen2kvmd.domain schema"


def test_every_known_word_has_a_decision() -> None:
    assert [path for path in Vocabulary.shipped().paths() if decide(path) is None] == []


def test_every_decision_is_about_a_known_word() -> None:
    used = {decide(path) for path in Vocabulary.shipped().paths()}
    assert [row.path for row in DECISIONS if row not in used] == []


def test_decisions_and_rules_know_each_other() -> None:
    cited = {name for row in DECISIONS for name in row.rules}
    # What has no row is nothing_unknown's.
    assert cited | {"nothing_unknown"} == {rule.name for rule in RULES}


def test_what_is_dropped_says_so() -> None:
    for row in DECISIONS:
        if row.fate is Fate.DROPPED and not row.finding:
            assert row.note, f"{row.path}: say why nothing is lost"


def test_a_new_child_of_domain_or_devices_has_no_decision() -> None:
    assert decide("novelty") is None
    assert decide("devices/novelty") is None


def test_backing_chains_are_known_to_any_depth() -> None:
    words = Vocabulary.shipped()
    assert words.knows(("devices", "disk", *["backingStore"] * 9, "source"))
    assert not words.knows(("devices", "disk", *["backingStore"] * 9, "novelty"))


def test_manual_is_current(*, regenerate: bool) -> None:
    check_file(CHECKOUT / "man/xen2kvm-domain-xml.7.rst", manual(), regenerate=regenerate)
