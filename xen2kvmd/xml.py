# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading XML that nobody vouches for, and writing it again."""

from lxml import etree

from xen2kvmd.errors import InvalidXml

MAX_BYTES = 1 << 20

Element = etree._Element  # lxml gives the class no public name


def parse(document: str | bytes, *, what: str = "The domain XML") -> Element:
    """Parse a document without entities, network or DTD; comments and white space are kept.

    Raises InvalidXml for one that is no XML, is larger than 1 MiB, is nested deeper than libxml2's
    256 levels, or declares a document type.
    """
    data = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
    if len(data) > MAX_BYTES:
        raise InvalidXml(
            f"{what} has {len(data)} bytes; at most {MAX_BYTES} are read.",
            hint="A domain XML has a few kilobytes: check that this is the right file.",
        )
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        why = error.msg if isinstance(error, etree.XMLSyntaxError) else error
        raise InvalidXml(
            f"{what} is not XML: {why}.",
            hint="Give the file that 'virsh dumpxml GUEST' wrote.",
        ) from error
    if root.getroottree().docinfo.doctype or root.getroottree().docinfo.internalDTD is not None:
        raise InvalidXml(
            f"{what} declares a document type (DOCTYPE); such documents are not read.",
            hint="Remove the DOCTYPE line: libvirt writes none.",
        )
    return root


def serialize(root: Element) -> str:
    """Write an element as indented text with a newline at its end; the element stays as it is."""
    copy = etree.fromstring(etree.tostring(root, encoding="unicode"))
    etree.indent(copy, space="  ")
    return etree.tostring(copy, encoding="unicode").rstrip() + "\n"
