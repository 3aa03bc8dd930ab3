#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the manual page org.xen2kvm.Migrator1(5), made from the introspection XML.

    tools/bus_manual.py > man/org.xen2kvm.Migrator1.5.rst

The XML is the API and its description; the page is the same, to be read with man(1).
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

SOURCE = Path(__file__).resolve().parent.parent / "dbus/org.xen2kvm.Migrator1.xml"

HEAD = """\
.. SPDX-License-Identifier: GPL-2.0-or-later
.. Made by: tools/bus_manual.py

====================
org.xen2kvm.Migrator1
====================

----------------------
the D-Bus API of xen2kvm
----------------------

:Manual section: 5
:Manual group: xen2kvm

DESCRIPTION
===========

The service ``org.xen2kvm.Migrator1`` on the system bus is xen2kvmd(8). Its methods, signals and
properties are described here as its introspection XML has them. After each method's name come the
signatures of what goes in and what comes out.
"""

TAIL = """
SEE ALSO
========

xen2kvm(1), xen2kvmd(8), busctl(1), polkit(8)
"""

COMMENT = "comment"
PLURALS = {"method": "Methods", "signal": "Signals", "property": "Properties"}


def main() -> int:
    """Print the page."""
    sys.stdout.write(page(SOURCE.read_text()))
    return 0


def page(document: str) -> str:
    """Return the page for an introspection XML whose comments describe what comes after them."""
    builder = ElementTree.TreeBuilder(insert_comments=True, comment_factory=comment_element)
    parser = ElementTree.XMLParser(target=builder)
    root = ElementTree.fromstring(document, parser)
    parts = [underlined(HEAD)]
    for interface in root.iter("interface"):
        parts.append("\n".join(interface_text(interface)))
    return "\n".join([*parts, TAIL.lstrip("\n")])


def comment_element(text: str | None) -> ElementTree.Element:
    """Make an element of a comment, which stands where the comment did."""
    element = ElementTree.Element(COMMENT)
    element.text = text
    return element


def underlined(text: str) -> str:
    """Make the lines around the titles as long as the titles."""
    return re.sub(
        r"^([=-])\1+\n(.*)\n\1+$",
        lambda found: f"{found[1] * len(found[2])}\n{found[2]}\n{found[1] * len(found[2])}",
        text,
        flags=re.MULTILINE,
    )


def interface_text(interface: ElementTree.Element) -> Iterator[str]:
    """Yield the lines about one interface."""
    name = f"THE INTERFACE {str(interface.get('name')).rpartition('.')[2].upper()}"
    yield from (name, "=" * len(name), "", f"``{interface.get('name')}``", "")
    comment, kind = "", ""
    for element in interface:
        if element.tag == COMMENT:
            comment = str(element.text)
            if not kind and not comment_is_of(comment, interface):
                yield from (*paragraphs(comment), "")
            continue
        if element.tag in PLURALS and element.tag != kind:
            kind = element.tag
            yield from (PLURALS[kind], "-" * len(PLURALS[kind]), "")
        if element.tag in PLURALS:
            yield from member_text(element, comment)
            yield ""


def comment_is_of(comment: str, interface: ElementTree.Element) -> bool:
    """Whether a comment begins with the name of a member."""
    names = {child.get("name") for child in interface if child.tag in PLURALS}
    return comment.strip().partition(":")[0] in names


def member_text(member: ElementTree.Element, comment: str) -> Iterator[str]:
    """Yield a method, signal or property with its description, as a definition."""
    name = str(member.get("name"))
    if member.tag == "property":
        signature = f": {member.get('type')}"
    else:
        given, returned = (
            ", ".join(f"{arg.get('name')}: {arg.get('type')}" for arg in arguments(member, way))
            for way in ("in", "out")
        )
        signature = f"({given or returned})" if member.tag == "signal" else f"({given})"
        if returned and member.tag == "method":
            signature += f" → ({returned})"
    yield f"**{name}**\\ ``{signature}``"
    text = comment.strip().removeprefix(f"{name}:")
    yield from (f"    {line}".rstrip() for line in paragraphs(text))
    for annotation in member.iter("annotation"):
        if str(annotation.get("name")).endswith("PolkitAction"):
            yield from ("", f"    Polkit: {annotation.get('value')}")


def arguments(member: ElementTree.Element, way: str) -> Iterator[ElementTree.Element]:
    """Yield the arguments that go in or come out; a signal's have no direction and come out."""
    for argument in member.iter("arg"):
        if argument.get("direction", "out") == way:
            yield argument


def paragraphs(text: str) -> Iterator[str]:
    """Yield a comment's lines as reStructuredText: each "name: text" is an item of its own."""
    lines = textwrap.dedent(
        text.strip("\n") if text.startswith("\n") else text.strip()
    ).splitlines()
    before = ""
    for line in (line.rstrip() for line in lines):
        item = re.match(r"^(\s*)([a-z][A-Za-z_.-]*(?: \([a-z{}()]+\))?): (.*)", line)
        if item and before:
            yield ""
        if item:
            yield f"- *{item[2]}*: {escape(item[3])}"
        elif line.startswith("  "):
            yield f"  {escape(line.strip())}"
        else:
            yield escape(line.strip())
        before = line


def escape(text: str) -> str:
    """Escape what reStructuredText would take for markup."""
    return re.sub(r"([*`|\\]|_\b)", r"\\\1", text)


if __name__ == "__main__":
    sys.exit(main())
