# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the guest's processors."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import remove_all, section
from xen2kvmd.model import Case, Finding, VirtType
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="")
def cpu_of_host(domain: Element, case: Case) -> Iterator[Finding]:
    """Give the guest the host's processor, as Xen does, or all that QEMU can emulate.

    Without this libvirt takes qemu64, which lacks what current distributions are built for.
    """
    kvm = case.target.virt_type is VirtType.KVM
    mode = case.target.cpu or ("host-passthrough" if kvm else "maximum")
    cpu = section(domain, "cpu")
    if cpu.get("mode") != mode:
        for name in ("mode", "match", "check", "migratable"):
            cpu.attrib.pop(name, None)
        cpu.set("mode", mode)
        remove_all(cpu, "model")
        remove_all(cpu, "vendor")
    if mode == "host-passthrough":
        cpu.set("migratable", "on")
    return iter(())
