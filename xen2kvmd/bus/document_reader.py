# SPDX-License-Identifier: GPL-2.0-or-later
"""`python3 -m xen2kvmd.bus.document_reader`: read a document that a caller wrote, and end.

The order comes on standard input, the answer goes to standard output, both as JSON. See
documents.py, which begins us.
"""

import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

import cattrs

from xen2kvmd.domain import convert, read
from xen2kvmd.errors import MigrationError
from xen2kvmd.model import Case, Request, Target
from xen2kvmd.sources import open_source, read_document

LONGEST = 30  # seconds that we live, even where the service that began us was killed


def answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """Do what is asked; return what came of it, or how it cannot be done."""
    try:
        if order["do"] == "describe":
            request = cattrs.structure(order["request"], Request)
            return {"domain": cattrs.unstructure(read(open_source(request).read().domain_xml))}
        imported = read_document(order["form"], order["document"])
        case = Case(target=cattrs.structure(order["target"], Target))
        converted = convert(imported.domain_xml, case)
        findings = cattrs.unstructure((*imported.findings, *converted.findings))
        return {"domain_xml": converted.domain_xml, "findings": findings}
    except MigrationError as error:
        return {"error": error.name, "message": error.message, "hint": error.hint}


if __name__ == "__main__":
    signal.alarm(LONGEST)
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
