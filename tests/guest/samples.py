# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the guest's rules share: reading cases and comparing with expected files.

case.json holds what differs from DEFAULT; under "from" it may say where the files are from.
"""

import json
import shutil
from pathlib import Path

import cattrs

from tests.guest.folder import Folder
from xen2kvmd.model import Case, Finding

HERE = Path(__file__).parent
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


def check_after(folder: Path, guest: Folder, *, regenerate: bool) -> None:
    """Compare files and commands of a guest with the expected ones, or write them."""
    after = snapshot(guest.root)
    if regenerate:
        shutil.rmtree(folder / "after", ignore_errors=True)
        if after:
            shutil.copytree(guest.root, folder / "after", symlinks=True)
    assert after == snapshot(folder / "after")
    commands = "".join(f"{' '.join(command)}\n" for command in guest.commands)
    check_text(folder / "commands", commands, regenerate=regenerate)


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
