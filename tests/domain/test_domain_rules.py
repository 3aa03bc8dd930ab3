# SPDX-License-Identifier: GPL-2.0-or-later
"""Each rule alone: RULE/CASE/before.xml becomes after.xml, with findings; case.json if not default.

`pytest --regenerate` rewrites what comes out; read the diff.
"""

import importlib
import pkgutil
from pathlib import Path

import pytest

import xen2kvmd.domain
from tests.domain.samples import HERE, check_file, complete, parse, read_case, show_findings
from xen2kvmd import xml
from xen2kvmd.domain import RULES
from xen2kvmd.rule import Rule
from xen2kvmd.xml import Element

BY_NAME = {rule.name: rule for rule in RULES}
CASES = sorted(file.parent for file in HERE.glob("*/*/before.xml"))


@pytest.mark.parametrize("folder", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_rule_makes_after_of_before(folder: Path, *, regenerate: bool) -> None:
    rule = BY_NAME[folder.parent.name]
    domain = parse(folder / "before.xml")
    case = complete(read_case(folder), domain)

    findings = rule(domain, case)

    after = xml.serialize(domain)
    check_file(folder / "after.xml", after, regenerate=regenerate)
    check_file(folder / "findings", show_findings(findings), regenerate=regenerate)
    rule(domain, case)
    assert xml.serialize(domain) == after, "the second run changed something"


def all_rules() -> list[Rule[Element]]:
    modules = [
        importlib.import_module(f"xen2kvmd.domain.{module.name}")
        for module in pkgutil.iter_modules(xen2kvmd.domain.__path__)
        if module.name != "__main__"
    ]
    return [each for module in modules for each in vars(module).values() if isinstance(each, Rule)]


def test_every_rule_is_in_the_order_once() -> None:
    assert sorted(rule.name for rule in RULES) == sorted(rule.name for rule in all_rules())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_case_and_cites_the_guide(rule: Rule[Element]) -> None:
    sections = (HERE.parent / "guide.txt").read_text().splitlines()
    assert any(folder.parent.name == rule.name for folder in CASES)
    assert rule.guide in ("", *sections)


def test_every_case_is_of_a_rule() -> None:
    assert {folder.parent.name for folder in CASES} <= set(BY_NAME)
