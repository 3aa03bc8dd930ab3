# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the program that runs the guest."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device, remove_all, text
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="15.2.4.2 (7)")
def emulator_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Replace Xen's device model; without an emulator of our choice libvirt takes its own.

    Its path differs between distributions: /usr/bin/qemu-kvm, /usr/libexec/qemu-kvm,
    /usr/bin/qemu-system-x86_64.
    """
    if text(domain, "devices/emulator") != case.target.emulator or not case.target.emulator:
        remove_all(domain, "devices/emulator")
        if case.target.emulator:
            add_device(domain, "emulator").text = case.target.emulator
    return iter(())
