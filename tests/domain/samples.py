# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the domain XML share: reading cases and comparing with expected files."""

import json
from dataclasses import replace
from pathlib import Path

import cattrs

from xen2kvmd import xml
from xen2kvmd.domain import target_names
from xen2kvmd.domain.read import read_nics
from xen2kvmd.model import Case, Finding
from xen2kvmd.xml import Element

HERE = Path(__file__).parent


def read_case(folder: Path) -> Case:
    """The Case of case.json beside the documents, else the default one."""
    file = folder / "case.json"
    return cattrs.structure(json.loads(file.read_text()), Case) if file.exists() else Case()


def complete(case: Case, domain: Element) -> Case:
    """Fill in the disks' names and the NICs, as convert() does."""
    devices = case.devices or target_names(domain, virtio=case.facts.virtio)
    return replace(case, devices=devices, nics=case.nics or read_nics(domain))


def show_findings(findings: tuple[Finding, ...]) -> str:
    """Findings as lines: severity, id, place, and the message below."""
    return "".join(
        f"{found.severity} {found.id} {found.place}\n    {found.message}\n" for found in findings
    )


def check_file(file: Path, content: str, *, regenerate: bool) -> None:
    """Compare with an expected file, or write it; no content is no file."""
    if regenerate and content:
        file.write_text(content)
    elif regenerate:
        file.unlink(missing_ok=True)
    assert (file.read_text() if file.exists() else "") == content, file


def parse(file: Path) -> Element:
    return xml.parse(file.read_bytes())
