# SPDX-License-Identifier: GPL-2.0-or-later
"""Each rule alone: RULE/CASE/before/ becomes after/, with commands and findings.

case.json holds what differs from DEFAULT. A folder `before` may be missing: a guest without files.
`pytest --regenerate` rewrites what comes out; read the diff.
"""

import importlib
import json
import pkgutil
import shutil
from pathlib import Path

import cattrs
import pytest

import xen2kvmd.guest
from xen2kvmd.guest import RULES, apply
from xen2kvmd.guest.convert import attempt
from xen2kvmd.guest.folder import Folder
from xen2kvmd.guest.rehearsal import Rehearsal
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import Rule

HERE = Path(__file__).parent
BY_NAME = {rule.name: rule for rule in RULES}
CASES = sorted(
    folder
    for rule in HERE.iterdir()
    if rule.is_dir() and not rule.name.startswith("_")
    for folder in rule.iterdir()
    if folder.is_dir()
)
DEFAULT = {
    "devices": [["xvda", "vda"], ["xvdb", "vdb"]],
    "nics": [{"mac": "00:16:3e:2a:00:01", "kind": "bridge", "source": "xenbr0"}],
}

Snapshot = dict[str, bytes | str]


def read_case(folder: Path) -> Case:
    file = folder / "case.json"
    given = json.loads(file.read_text()) if file.exists() else {}
    return cattrs.structure(DEFAULT | given, Case)


def snapshot(root: Path) -> Snapshot:
    """Return every file's content and every link's target by its path."""
    return {
        str(path.relative_to(root)): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def copied(source: Path, target: Path) -> Folder:
    if source.exists():
        shutil.copytree(source, target, symlinks=True)
    target.mkdir(exist_ok=True)
    return Folder(target)


def check_text(file: Path, content: str, *, regenerate: bool) -> None:
    """Compare with an expected file, or write it; no content is no file."""
    if regenerate:
        file.unlink(missing_ok=True)
        if content:
            file.write_text(content)
    assert (file.read_text() if file.exists() else "") == content, file


def shown(findings: tuple[Finding, ...]) -> str:
    return "".join(
        f"{found.severity} {found.id} {found.place}\n    {found.message}\n" for found in findings
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

    if regenerate:
        shutil.rmtree(folder / "after", ignore_errors=True)
        if after:
            shutil.copytree(guest.root, folder / "after", symlinks=True)
    assert after == snapshot(folder / "after")
    commands = "".join(f"{' '.join(command)}\n" for command in guest.commands)
    check_text(folder / "commands", commands, regenerate=regenerate)
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
