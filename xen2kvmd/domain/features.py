# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for <features>."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import append, brief, place, remove, remove_all, section
from xen2kvmd.model import Case, Family, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="")
def acpi_and_apic(domain: Element, case: Case) -> Iterator[Finding]:
    """Switch ACPI and APIC on: a PV guest has neither, and without ACPI it hears no shutdown."""
    features = section(domain, "features")
    for name in ("acpi", "apic"):
        if features.find(name) is None:
            append(features, name)
    return iter(())


@rule(guide="")
def no_xen_features(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove switches of Xen itself.

    Second-level paging (hap) is always on under KVM, the host's memory map (e820_host) is no matter
    of the guest's, and devices of the host go through VFIO, which shares page tables by itself.
    """
    for name in ("hap", "xen"):
        for element in domain.findall(f"features/{name}"):
            inner = [brief(child) for child in element.iterchildren("{*}*")]
            where = place(element)
            remove(element)
            yield Finding(
                "xen-feature-dropped",
                f"Xen's feature {''.join(inner) or f'<{name}>'} has no counterpart under KVM.",
                severity=Severity.INFO,
                hint="KVM needs none: it chooses paging and memory layout by itself.",
                place=where,
            )


@rule(guide="")
def hyperv_enlightenments(domain: Element, case: Case) -> Iterator[Finding]:
    """Tell Windows that it is virtual, in Hyper-V's words: for Windows, and where Xen did.

    Xen's name for them is viridian. Without them an idle Windows guest keeps a CPU busy.
    """
    features = section(domain, "features")
    windows = case.facts.family is Family.WINDOWS
    if (features.find("viridian") is not None or windows) and features.find("hyperv") is None:
        hyperv = append(features, "hyperv")
        append(hyperv, "relaxed", state="on")
        append(hyperv, "vapic", state="on")
        append(hyperv, "spinlocks", state="on", retries="8191")
    remove_all(features, "viridian")
    return iter(())
