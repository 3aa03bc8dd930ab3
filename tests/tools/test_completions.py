# SPDX-License-Identifier: GPL-2.0-or-later
"""The completions say what the client takes, and the shells take them."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PLACE = CHECKOUT / "completions"
FILES = {"bash": "xen2kvm", "zsh": "_xen2kvm", "fish": "xen2kvm.fish"}

# In the place of the client: it lists one job, and says how it was called.
CLIENT = """
if [ "$1" = jobs ]; then printf '[\\n {\\n  "Id": "u0_web1",\\n  "Vm": "x"\\n }\\n]\\n'
else echo "CALLED: $*"; fi
"""


@pytest.fixture
def client(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin/xen2kvm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{CLIENT}")
    program.chmod(0o755)
    (tmp_path / "web1.xml").touch()
    path = f"{program.parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "HOME": str(tmp_path), "TERM": "dumb"}


@pytest.mark.parametrize("shell", FILES)
def test_files_are_made_of_the_arguments(shell: str, *, regenerate: bool) -> None:
    made = subprocess.run(
        [sys.executable, CHECKOUT / "tools/completions.py", shell],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if regenerate:
        (PLACE / FILES[shell]).write_text(made)
    assert (PLACE / FILES[shell]).read_text() == made, "run pytest --regenerate"


@pytest.mark.parametrize(
    ("typed", "called"),
    [
        ("xen2kvm repo\t u0\t --form\tht\t", "report u0_web1 --format html"),
        ("xen2kvm pla\t we\t --directo\t bi\t", "plan web1.xml --directory bin/"),
        ("xen2kvm mig\t --shutdown-m\tnev\t web1.x\t", "migrate --shutdown-mode never web1.xml"),
        ("xen2kvm check-h\t --qui\t", "check-host --quick"),
    ],
)
def test_bash_completes_at_a_terminal(
    client: dict[str, str], tmp_path: Path, typed: str, called: str
) -> None:
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=client, cwd=tmp_path,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        lines = f"bind 'set bell-style none'\nsource {PLACE}/xen2kvm\n{typed}\nexit\n"
        os.write(ours, lines.encode())
        said = b""
        while b"CALLED: " not in said or b"\n" not in said.partition(b"CALLED: ")[2]:
            said += os.read(ours, 4096)
        found = re.search(r"CALLED: (.*?)\s*$", said.decode(), re.MULTILINE)
        assert found is not None
        assert re.sub(" +", " ", found[1]) == called
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [("xen2kvm rep", "report"), ("xen2kvm report u", "u0_web1"),
     ("xen2kvm report u0_web1 --format h", "html")],
)  # fmt: skip
def test_fish_completes(client: dict[str, str], typed: str, offered: str) -> None:
    script = f"source {PLACE}/xen2kvm.fish; complete -C '{typed}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=client,
        capture_output=True,
        text=True,
        check=True,
    )
    assert offered in [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_takes_it(client: dict[str, str], tmp_path: Path) -> None:
    """It is loaded as zsh itself loads it; what it offers needs a person at zsh's line editor."""
    script = f"fpath=({PLACE} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump; "
    script += "print $_comps[xen2kvm]; autoload +X _xen2kvm && print loaded"
    done = subprocess.run(
        ["zsh", "-f", "-c", script], env=client, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["_xen2kvm", "loaded"], done
