# SPDX-License-Identifier: GPL-2.0-or-later
"""What NICs are connected to: the arguments put into the service's grammar."""

import argparse

from xen2kvmd.cli.documents import read_document
from xen2kvmd.errors import InvalidOption


def nic_maps(arguments: argparse.Namespace) -> list[str]:
    """Return the NIC maps in the service's grammar, those for all NICs last."""
    listed = _listed(arguments.map) if arguments.map else []
    special, catch_all = list(arguments.nic), []
    for kind in ("network", "bridge"):
        for text in getattr(arguments, kind):
            old, equals, new = text.partition("=")
            if not equals:
                old, colon, new = text.partition(":")
                new = f"{kind}:{new}" if colon else ""
            if new:
                special.append(f"{kind}:{old}={new}")
            else:
                catch_all.append(f"any={kind}:{old}")
    # What the command line says goes before what the file says; what matches any NIC goes last.
    special += [line for line in listed if not line.startswith("any=")]
    return special + catch_all + [line for line in listed if line.startswith("any=")]


def _listed(name: str) -> list[str]:
    """Return the maps of a mapping file: OLD = NEW on each line, # begins a comment."""
    found = []
    for number, line in enumerate(read_document(name).splitlines(), start=1):
        text = line.partition("#")[0].strip()
        old, equals, new = text.partition("=")
        if text and not (old.strip() and equals and new.strip()):
            raise InvalidOption(
                f"{name}:{number}: '{text}' is no map.",
                hint="A line is OLD = NEW, as bridge:br0 = network:default or any = bridge:br0.",
            )
        if text:
            found.append(f"{old.strip()}={new.strip()}")
    return found
