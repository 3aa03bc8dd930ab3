# SPDX-License-Identifier: GPL-2.0-or-later
"""Is every difference between two documents accounted for? By a rule's diff, and by a decision."""

import re
from collections import Counter
from collections.abc import Iterator

from lxml import etree

from xen2kvmd import xml
from xen2kvmd.domain import Converted
from xen2kvmd.domain.decisions import Fate, decide
from xen2kvmd.domain.schema import Vocabulary, step
from xen2kvmd.xml import Element

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@\n")


def words(root: Element) -> Iterator[tuple[str, str]]:
    """All attributes and texts of a document, each with its path as decisions.py writes it."""
    for element in root.iter(etree.Element):
        above = [step(each) for each in reversed(tuple(element.iterancestors()))]
        path = "/".join([*above, step(element)][1:])
        if element is not root:
            yield path, (element.text or "").strip()
        for name, value in element.attrib.items():
            yield f"{path}/@{name}".removeprefix("/"), str(value)


def silent_losses(source: str, result: Converted) -> list[str]:
    """What the source says, the target does not, and nothing accounts for."""
    lost = Counter(words(xml.parse(source))) - Counter(words(xml.parse(result.domain_xml)))
    changed = {change.rule for change in result.changes}
    told = {finding.id for finding in result.findings}
    known = Vocabulary.shipped()
    return [
        f"{path} = {value!r}"
        for path, value in sorted(lost)
        if not _accounted(path, known, changed=changed, told=told)
    ]


def _accounted(path: str, known: Vocabulary, *, changed: set[str], told: set[str]) -> bool:
    """Whether a rule that changed something may take the word away, and says so if it must.

    The decision may be about the word or about an element that it is in.
    """
    above = path.split("/")
    prefixes = ["/".join(above[:end]) for end in range(len(above), 0, -1)]
    rows = [row for row in map(decide, prefixes) if row is not None]
    if not rows or not known.knows(tuple(part for part in above if part[:1] != "@")):
        return "unknown-dropped" in told
    own = rows[0]
    if own.fate is Fate.DROPPED and own.finding and own.finding not in told:
        return False
    return any(changed & set(row.rules) for row in rows)


def replay(source: str, result: Converted) -> str:
    """Apply the changes' diffs to the source, one after the other."""
    text = xml.serialize(xml.parse(source))
    for change in result.changes:
        text = _patch(text, change.diff)
    return text


def _patch(text: str, diff: str) -> str:
    lines, done, at = text.splitlines(keepends=True), [], 0
    for line in diff.splitlines(keepends=True)[2:]:
        hunk = _HUNK.fullmatch(line)
        if hunk:
            start = int(hunk[1]) - (hunk[2] != "0")
            done += lines[at:start]
            at = start
        elif line[0] == "+":
            done.append(line[1:])
        else:
            assert lines[at] == line[1:]
            at += 1
            done += [line[1:]] if line[0] == " " else []
    return "".join(done + lines[at:])
