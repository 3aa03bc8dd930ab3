# SPDX-License-Identifier: GPL-2.0-or-later
"""Each rule alone: RULE/CASE/before/ becomes after/, with commands and findings.

A folder `before` may be missing: a guest without files.
`pytest --regenerate` rewrites what comes out; read the diff.
"""

import importlib
import pkgutil
from pathlib import Path

import pytest

import xen2kvmd.guest
from tests.guest.folder import Folder
from tests.guest.samples import (
    HERE,
    Snapshot,
    check_after,
    check_text,
    copied,
    read_case,
    shown,
    snapshot,
)
from xen2kvmd.guest import RULES, apply
from xen2kvmd.guest.rehearsal_tree import Rehearsal
from xen2kvmd.guest.rehearse import attempt
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case
from xen2kvmd.rule import Rule

BY_NAME = {rule.name: rule for rule in RULES}
CASES = sorted(
    folder
    for rule in HERE.iterdir()
    if rule.is_dir() and not rule.name.startswith("_") and rule.name != "whole"
    for folder in rule.iterdir()
    if folder.is_dir()
)


@pytest.mark.parametrize("folder", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_rule_makes_after_of_before(folder: Path, tmp_path: Path, *, regenerate: bool) -> None:
    rule, case = BY_NAME[folder.parent.name], read_case(folder)
    guest = copied(folder / "before", tmp_path / "rehearsed")
    before = snapshot(guest.root)
    rehearsal = Rehearsal(guest)
    findings = attempt(rule, rehearsal, case)
    assert snapshot(guest.root) == before, "the rehearsal changed the guest"

    apply(guest, rehearsal.operations)
    after = snapshot(guest.root)

    check_after(folder, guest, regenerate=regenerate)
    check_text(folder / "findings", shown(findings), regenerate=regenerate)
    assert _direct(rule, case, copied(folder / "before", tmp_path / "direct")) == after
    assert _direct(rule, case, guest) == after, "the second run changed something"


def _direct(rule: Rule[Tree], case: Case, guest: Folder) -> Snapshot:
    attempt(rule, guest, case)
    return snapshot(guest.root)


def all_rules() -> list[Rule[Tree]]:
    modules = [
        importlib.import_module(f"xen2kvmd.guest.{module.name}")
        for module in pkgutil.iter_modules(xen2kvmd.guest.__path__)
    ]
    return [each for module in modules for each in vars(module).values() if isinstance(each, Rule)]


def test_every_rule_is_in_the_order_once() -> None:
    assert sorted(rule.name for rule in RULES) == sorted(rule.name for rule in all_rules())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_case_and_cites_the_guide(rule: Rule[Tree]) -> None:
    sections = (HERE.parent / "guide.txt").read_text().splitlines()
    assert any(folder.parent.name == rule.name for folder in CASES)
    assert rule.guide in ("", *sections)


def test_every_case_is_of_a_rule() -> None:
    assert {folder.parent.name for folder in CASES} <= set(BY_NAME)
