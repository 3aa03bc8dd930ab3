# SPDX-License-Identifier: GPL-2.0-or-later
"""Imports point one way: down the ROWS. Those in one row do not know each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "xen2kvmd"
MODULES = sorted(PACKAGE.rglob("*.py"))

ROWS = (
    ("__main__", "job"),
    ("bus", "cli", "host"),
    ("steps",),
    ("plan",),
    ("sources", "targets", "domain", "guest"),
    ("jobs",),
    ("rule", "estimate"),
    ("system",),
    ("config",),
    ("xml",),
    ("model",),
    ("errors", "words", "arguments"),
    ("",),  # xen2kvmd/__init__.py
)
ROW = {part: number for number, row in enumerate(ROWS) for part in row}

# The client is a D-Bus caller like any other: it may not know more than they do.
ONLY = {"cli": {"cli", "model", "errors", "words", ""}}

# The one place of each binding to the world.
PLACES = {
    "dbus_next": ("bus/library.py", "cli/*"),
    "dbus_fast": ("bus/library.py", "cli/*"),
    "libvirt": ("system/libvirt*.py",),
    "libvirt_qemu": ("system/libvirt*.py",),
    "guestfs": ("guest/launch.py",),
    "nbd": ("system/*",),
    "subprocess": ("system/*", "cli/text_agent.py"),
}


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def part_of(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if part == "__init__" else part


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of each module that a file imports, or of what it takes from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(path: Path) -> Iterator[str]:
    for module in imported(path):
        top, _, rest = module.partition(".")
        if top == "xen2kvmd":
            part = rest.partition(".")[0]
            yield part if part in ROW else ""


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_imports_only_from_below(path: Path) -> None:
    here = part_of(path)
    assert here in ROW, f"{here}: say in ROWS where it stands"
    allowed = {part for part in ROW if ROW[part] > ROW[here]} | {here}
    assert set(parts_imported(path)) <= ONLY.get(here, allowed)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_bindings_are_imported_in_their_place_only(path: Path) -> None:
    for module in {module.partition(".")[0] for module in imported(path)} & set(PLACES):
        places = PLACES[module]
        assert any(path.relative_to(PACKAGE).match(place) for place in places), (
            f"{module} belongs in {' or '.join(places)}"
        )


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_stand_at_the_top(path: Path) -> None:
    tree = ast.parse(path.read_text())
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    hidden = [
        node.lineno
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not hidden, "an import inside a function hides a cycle"
    assert "TYPE_CHECKING" not in path.read_text(), "a cycle is a fault of the layout"
