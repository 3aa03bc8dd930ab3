# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a guest comes from: each source yields its domain XML, and its disks are named in that."""

from xen2kvmd.errors import InvalidSource
from xen2kvmd.model import Request
from xen2kvmd.sources.xml_file import XmlFile

SCHEMES = ("libvirtxml",)


def open_source(request: Request) -> XmlFile:
    """Open the source that a request names. Raises InvalidSource for one that we do not know."""
    scheme, colon, rest = request.source.partition(":")
    if colon and scheme == "libvirtxml":
        return XmlFile(path=rest, given=request.document)
    raise InvalidSource(
        f"The source '{request.source}' is of no kind that can be read.",
        hint="Give 'libvirtxml:/path/to/guest.xml', a file that 'virsh dumpxml' wrote.",
    )
