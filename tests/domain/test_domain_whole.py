# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole guests, to be read like documentation: whole/GUEST/{README,source,target,findings}."""

from pathlib import Path

import pytest

from tests.domain.accounts import silent_losses
from tests.domain.samples import HERE, check_file, read_case, show_findings
from xen2kvmd.domain import convert

GUESTS = sorted(file.parent for file in HERE.glob("whole/*/source.xml"))


@pytest.mark.parametrize("folder", GUESTS, ids=lambda folder: folder.name)
def test_guest_becomes_target(folder: Path, *, regenerate: bool) -> None:
    source = (folder / "source.xml").read_text()

    result = convert(source, read_case(folder))

    check_file(folder / "target.xml", result.domain_xml, regenerate=regenerate)
    check_file(folder / "findings", show_findings(result.findings), regenerate=regenerate)
    assert silent_losses(source, result) == []
    assert (folder / "README").exists()
