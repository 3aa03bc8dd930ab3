# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for <features>."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import section
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="")
def acpi_and_apic(domain: Element, case: Case) -> Iterator[Finding]:
    """Switch ACPI and APIC on: a PV guest has neither, and without ACPI it hears no shutdown."""
    features = section(domain, "features")
    for name in ("acpi", "apic"):
        if features.find(name) is None:
            features.append(features.makeelement(name, {}, None))
    return iter(())
