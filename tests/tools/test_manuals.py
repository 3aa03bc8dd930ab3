# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages say what the programs do: no option is missing, none is invented."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
MAN = CHECKOUT / "man"
COMMANDS = ("guests", "inspect", "plan", "migrate", "jobs", "show", "follow", "cancel", "report",
            "log", "remove", "convert-xml", "check-host")  # fmt: skip


def output(*command: str) -> str:
    environment = os.environ | {"COLUMNS": "200", "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True, env=environment
    ).stdout


def options(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]+", text))


def written(page: str) -> set[str]:
    """Return the options that have an entry of their own in a page."""
    lines = (MAN / page).read_text().splitlines()
    return options("\n".join(line for line in lines if line.startswith("-") and len(line) > 5))


def test_client_page_has_all_options_and_commands() -> None:
    offered = set().union(*(options(output("-m", "xen2kvmd.cli", c, "--help")) for c in COMMANDS))
    assert written("xen2kvm.1.rst") - {"--version"} == offered
    text = (MAN / "xen2kvm.1.rst").read_text()
    usage = output("-m", "xen2kvmd.cli", "--help")
    for command in re.findall(r"^    ([a-z-]+) ", usage, re.MULTILINE):
        assert f"**{command}**" in text


def test_client_page_has_all_exit_codes() -> None:
    codes = re.findall(r"^EX_\w+ = (\d+)", (CHECKOUT / "xen2kvmd/cli/exits.py").read_text(), re.M)
    section = (MAN / "xen2kvm.1.rst").read_text().partition("EXIT STATUS")[2]
    assert set(re.findall(r"^(\d+)$", section, re.MULTILINE)) == {"0", *codes}


def test_service_page_has_all_options() -> None:
    offered = options(output("-m", "xen2kvmd", "--help")) - {"--help"}
    assert written("xen2kvmd.8.rst") == offered


def test_page_of_the_bus_is_the_introspection_xml(*, regenerate: bool) -> None:
    made = output(str(CHECKOUT / "tools/bus_manual.py"))
    page = MAN / "org.xen2kvm.Migrator1.5.rst"
    if regenerate:
        page.write_text(made)
    assert page.read_text() == made, "run pytest --regenerate"


@pytest.mark.parametrize("page", sorted(MAN.glob("*.rst")), ids=lambda page: str(page.name))
def test_page_names_its_section(page: Path) -> None:
    section = page.name.split(".")[-2]
    assert f":Manual section: {section}" in page.read_text()
