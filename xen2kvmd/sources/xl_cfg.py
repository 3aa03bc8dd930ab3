# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest in an xl or xm configuration file: xl.cfg(5)."""

from xen2kvmd import xml
from xen2kvmd.errors import InvalidSource
from xen2kvmd.sources.xl_domain import Imported, to_domain
from xen2kvmd.sources.xl_syntax import parse_settings


def read_cfg(document: str | bytes) -> Imported:
    """Make a Xen domain XML of a configuration file's content. Nothing in it is executed.

    Raises InvalidSource for one that is too large, is no text, or describes no guest.
    """
    data = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
    if len(data) > xml.MAX_BYTES:
        raise InvalidSource(
            f"The configuration has {len(data)} bytes; at most {xml.MAX_BYTES} are read.",
            hint="An xl configuration has a few hundred bytes: check that this is the right file.",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # files of xm's days
    return to_domain(parse_settings(text))
