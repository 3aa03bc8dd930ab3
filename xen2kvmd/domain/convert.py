# SPDX-License-Identifier: GPL-2.0-or-later
"""From a Xen guest's domain XML to one for KVM, with what changes and what a person must know."""

import difflib
from dataclasses import dataclass, replace

from lxml import etree

from xen2kvmd import xml
from xen2kvmd.domain.disks import check_copies
from xen2kvmd.domain.names import target_names
from xen2kvmd.domain.read import check_name, read_tree
from xen2kvmd.domain.rules import RULES
from xen2kvmd.model import Case, Change, Finding
from xen2kvmd.rule import Rule
from xen2kvmd.xml import Element


@dataclass(frozen=True)
class Converted:
    """The domain XML for KVM, what a person must know, and a diff around each rule."""

    domain_xml: str
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]


def convert(document: str | bytes, case: Case) -> Converted:
    """Convert a domain XML. Raises InvalidXml, InvalidName or Unsupported if it cannot be."""
    domain = xml.parse(document)
    case = complete(case, domain)
    findings: list[Finding] = []
    changes: list[Change] = []
    was, before = etree.tostring(domain), _shown(domain)
    for rule in RULES:
        findings += rule(domain, case)
        now = etree.tostring(domain)
        if now != was:
            after = _shown(domain)
            if after != before:
                changes.append(_change(rule, before, after))
            was, before = now, after
    check_copies(domain, case)
    return Converted(xml.serialize(domain), tuple(findings), tuple(changes))


def complete(case: Case, domain: Element) -> Case:
    """Fill in what the document knows and the caller left out: NICs and names of disks."""
    source = read_tree(domain)
    if case.target.name:
        check_name(case.target.name)
    devices = case.devices or target_names(domain, virtio=case.facts.virtio)
    return replace(case, nics=case.nics or source.nics, devices=devices)


def _change(rule: Rule[Element], before: str, after: str) -> Change:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), "before", "after"
    )
    return Change(rule.name, rule.guide, rule.summary, place="domain XML", diff="".join(lines))


def masked(document: str) -> str:
    """Return a domain XML as a person may see it who may not define it: without passwords."""
    return _shown(xml.parse(document)) if "passwd" in document else document


def _shown(domain: Element) -> str:
    if not domain.xpath("//@passwd"):
        return xml.serialize(domain)
    copy = xml.parse(xml.serialize(domain))
    for element in copy.iterfind(".//*[@passwd]"):
        element.set("passwd", "***")
    return xml.serialize(copy)
