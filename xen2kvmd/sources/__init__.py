# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a guest comes from: each source yields its domain XML, and its disks are named in that."""

from xen2kvmd.errors import InvalidSource
from xen2kvmd.model import Request
from xen2kvmd.sources.file import FORMATS, ConfigFile
from xen2kvmd.sources.xl_domain import Imported

__all__ = ["FORMATS", "ConfigFile", "Imported", "open_source", "read_document"]


def open_source(request: Request) -> ConfigFile:
    """Open the source that a request names. Raises InvalidSource for one that we do not know."""
    scheme, _, path = request.source.partition(":")
    if scheme not in FORMATS:
        raise InvalidSource(
            f"The source '{request.source}' is of no kind that can be read.",
            hint="Give 'libvirtxml:/path/to/guest.xml', a file that 'virsh dumpxml' wrote, or "
            "'xl:/path/to/guest.cfg', a configuration of xl.",
        )
    return ConfigFile(scheme, path, given=request.document, guest=request.vm)


def read_document(form: str, document: str, *, guest: str = "") -> Imported:
    """Return the domain XML that a document of a format is, or describes."""
    return ConfigFile(form, path="", given=document, guest=guest).read()
