# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole guests, to be read like documentation: all rules make whole/GUEST/before into after.

case.json says under "from" where the files are from.
"""

import json
from pathlib import Path

import pytest

from tests.guest.samples import HERE, check_after, check_text, copied, read_case, shown, snapshot
from xen2kvmd.guest import apply, rehearse

GUESTS = sorted(file.parent for file in HERE.glob("whole/*/case.json"))


@pytest.mark.parametrize("folder", GUESTS, ids=lambda folder: folder.name)
def test_guest_is_converted(folder: Path, tmp_path: Path, *, regenerate: bool) -> None:
    case = read_case(folder)
    guest = copied(folder / "before", tmp_path / "guest")

    rehearsed = rehearse(guest, case)
    apply(guest, rehearsed.operations)

    check_after(folder, guest, regenerate=regenerate)
    check_text(folder / "findings", shown(rehearsed.findings), regenerate=regenerate)
    after = snapshot(guest.root)
    apply(guest, rehearse(guest, case).operations)
    assert snapshot(guest.root) == after, "the second conversion changed something"


@pytest.mark.parametrize("folder", GUESTS, ids=lambda folder: folder.name)
def test_case_says_where_it_is_from(folder: Path) -> None:
    assert json.loads((folder / "case.json").read_text())["from"]
