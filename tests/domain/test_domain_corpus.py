# SPDX-License-Identifier: GPL-2.0-or-later
"""Every document of corpus/: valid before and after, defined by libvirt, nothing silently lost."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import cattrs
import pytest
from lxml import etree

from tests.domain.accounts import replay, silent_losses
from tests.domain.samples import HERE
from xen2kvmd import xml
from xen2kvmd.domain import RULES, convert
from xen2kvmd.domain.convert import complete
from xen2kvmd.domain.schema import SCHEMAS
from xen2kvmd.model import Case, VirtType
from xen2kvmd.xml import Element

CORPUS = sorted(HERE.glob("corpus/*.xml"))
XEN_WORDS = ("xen", "xvd", "vif", "netfront", "pygrub", "hvmloader", "qemu-dm")
MEANINGS = ("bus", "model", "script", "emulator", "machine", "type", "driver", "bootloader")
each_document = pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
needs_schema = pytest.mark.skipif(not SCHEMAS.exists(), reason="libvirt is not installed")


def read_case(file: Path, virt_type: VirtType = VirtType.KVM) -> Case:
    beside = file.with_suffix(".json")
    case = cattrs.structure(json.loads(beside.read_text()), Case) if beside.exists() else Case()
    return replace(case, target=replace(case.target, virt_type=virt_type))


@cache
def schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(SCHEMAS / "domain.rng"))


def check_valid(root: Element) -> None:
    assert schema().validate(root), schema().error_log


def test_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60


@needs_schema
@each_document
def test_source_and_result_are_valid(file: Path) -> None:
    check_valid(xml.parse(file.read_bytes()))
    for virt_type in VirtType:
        result = convert(file.read_bytes(), read_case(file, virt_type))
        check_valid(xml.parse(result.domain_xml))


@each_document
def test_no_xen_name_is_left(file: Path) -> None:
    root = xml.parse(convert(file.read_bytes(), read_case(file)).domain_xml)
    for element in root.iter(etree.Element):
        if etree.QName(element).localname in MEANINGS:
            check_no_xen((element.text or "").lower())
        for name, value in element.attrib.items():
            if name in MEANINGS or (element.tag, name) == ("target", "dev"):
                check_no_xen(str(value).lower())


def check_no_xen(value: str) -> None:
    assert not any(word in value for word in XEN_WORDS), value


@each_document
def test_second_run_changes_nothing(file: Path) -> None:
    case = complete(read_case(file), xml.parse(file.read_bytes()))
    once = convert(file.read_bytes(), case).domain_xml
    root = xml.parse(once)
    for rule in RULES:
        rule(root, case)
        assert xml.serialize(root) == once, rule.name


@each_document
def test_every_difference_is_accounted_for(file: Path) -> None:
    result = convert(file.read_bytes(), read_case(file))
    assert silent_losses(file.read_text(), result) == []
    if "passwd" not in file.read_text():  # shown masked, so the diffs cannot be replayed
        assert replay(file.read_text(), result) == result.domain_xml


@each_document
def test_findings_are_sentences_with_a_stable_id(file: Path) -> None:
    for found in convert(file.read_bytes(), read_case(file)).findings:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", found.id)
        assert found.message.endswith(".")
        assert "\n" not in found.message + found.hint


def test_the_accounts_notice_a_silent_loss() -> None:
    file = HERE / "corpus/identity-full.xml"
    result = convert(file.read_bytes(), Case())
    root = xml.parse(result.domain_xml)
    for path in ("description", "devices/interface/mac"):
        root.findall(path)[0].clear()
    robbed = replace(result, domain_xml=xml.serialize(root))
    assert [loss.split(" = ")[0] for loss in silent_losses(file.read_text(), robbed)] == [
        "description",
        "devices/interface/mac/@address",
    ]


def test_password_is_carried_but_never_shown() -> None:
    file = HERE / "corpus/graphics-all.xml"
    result = convert(file.read_bytes(), Case())
    shown = str(result.findings) + str(result.changes)
    assert 'passwd="geheim"' in result.domain_xml
    assert "graphics-password" in shown
    assert "geheim" not in shown


@pytest.mark.slow
@needs_schema
def test_libvirt_defines_every_result(tmp_path: Path) -> None:
    documents = {
        file.stem: convert(file.read_bytes(), read_case(file, VirtType.QEMU)).domain_xml
        for file in CORPUS
    }
    done = subprocess.run(
        [sys.executable, HERE / "define.py", tmp_path],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    refused = {name: error for name, error in json.loads(done.stdout).items() if error}
    assert refused == {}
