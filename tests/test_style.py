# SPDX-License-Identifier: GPL-2.0-or-later
"""What ruff and mypy do not look at."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
ROOMS = ("xen2kvmd", "tests", "tools", ".ci")
GUESTS = CHECKOUT / "tests/guests"  # a guest's own files are not ours: tests/guests/GUEST/tree
FILES = sorted(
    path
    for room in ROOMS
    for path in (CHECKOUT / room).rglob("*")
    if path.is_file()
    and "__pycache__" not in path.parts
    and not (path.is_relative_to(GUESTS) and "tree" in path.parts)
)


def shebang(path: Path) -> bytes:
    with path.open("rb") as file:
        line = file.readline(80)
    return line if line.startswith(b"#!") else b""


PYTHON = [path for path in FILES if path.suffix == ".py" or b"python" in shebang(path)]
SHELL = [path for path in FILES if path.suffix == ".sh" or shebang(path).strip().endswith(b"sh")]
MANUALS = sorted((CHECKOUT / "man").glob("*.rst"))
GENERATED = {"org.xen2kvm.Migrator1.5.rst", "xen2kvm-domain-xml.7.rst"}
TEXTS = [*sorted(CHECKOUT.glob("*.md")), *(page for page in MANUALS if page.name not in GENERATED)]


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", PYTHON + SHELL, ids=name)
def test_file_says_its_licence(path: Path) -> None:
    first = path.read_text().splitlines()[:2]
    assert "# SPDX-License-Identifier: GPL-2.0-or-later" in first


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_module_is_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_shell_is_used(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and "subprocess" in ast.unparse(node.func):
            assert "shell" not in {keyword.arg for keyword in node.keywords}


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("path", SHELL, ids=name)
def test_shell_script_is_clean(path: Path) -> None:
    checked = subprocess.run(
        ["shellcheck", "-S", "warning", path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_text_has_100_columns(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > 100] == []


@pytest.mark.parametrize("path", MANUALS, ids=name)
def test_manual_is_built_without_warnings(path: Path) -> None:
    built = subprocess.run(
        ["rst2man", "--report=2", "--halt=2", path, "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
