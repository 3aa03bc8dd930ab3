# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page xen2kvm-domain-xml(7), made from the decisions and the rules' own summaries."""

from xen2kvmd.domain.decisions import SECTIONS, Decision, decide
from xen2kvmd.domain.rules import RULES
from xen2kvmd.domain.schema import Vocabulary

_HEAD = """\
.. SPDX-License-Identifier: GPL-2.0-or-later
.. Made by: python3 -m xen2kvmd.domain manual

==================
xen2kvm-domain-xml
==================

-------------------------------------------------
what becomes of each word of a Xen guest's domain
-------------------------------------------------

:Manual section: 7
:Manual group: xen2kvm

DESCRIPTION
===========

xen2kvm does not rebuild a guest's domain XML: it changes the document, by rules of one idea each,
and keeps what KVM takes. This page lists every element and attribute that libvirt's schema knows,
{count} in all, and says what becomes of it:

*carried*
    It stays as it is.
*adapted*
    It stays in the form that KVM has for it, or only where QEMU can do it.
*dropped*
    It goes. Where the guest loses something by it, the plan has a finding with the id given.

In a path, ``@`` begins an attribute, ``*`` stands for any name and ``**`` for all that is inside;
the first row that matches decides. What the schema does not know is dropped with the finding
*unknown-dropped*: libvirt would drop it without a word.
"""

_RULES = """\
In the order in which they run; a number is a section of SUSE's Virtualization Guide, "Xen to KVM
migration".
"""


def manual() -> str:
    """Write the page."""
    paths = Vocabulary.shipped().paths()
    counts: dict[str, int] = {}
    for path in paths:
        row = decide(path)
        if row:
            counts[row.path] = counts.get(row.path, 0) + 1
    parts = [_HEAD.format(count=len(paths))]
    for title, rows in SECTIONS:
        parts.append(_title(title.upper()))
        parts += [_row(row, counts[row.path]) for row in rows]
    parts.append(_title("RULES"))
    parts.append(_RULES)
    parts += [
        f"{rule.name}\n    {_escaped(rule.summary)}{f' ({rule.guide})' if rule.guide else ''}"
        for rule in RULES
    ]
    parts.append(_title("SEE ALSO"))
    parts.append("``xen2kvm``\\(1), ``xen2kvmd``\\(8), https://libvirt.org/formatdomain.html")
    return "\n".join(parts) + "\n"


def _row(row: Decision, count: int) -> str:
    words = f", {count} words" if count > 1 else ""
    rules = f" by {', '.join(row.rules)}" if row.rules else ""
    finding = f"; finding *{row.finding}*" if row.finding else ""
    note = f": {_escaped(row.note)}" if row.note else ""
    return f"``{row.path}``{words}\n    *{row.fate}*{rules}{finding}{note}"


def _title(text: str) -> str:
    return f"\n{text}\n{'=' * len(text)}\n"


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("`", "\\`")
