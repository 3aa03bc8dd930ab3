# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the guest's processors."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import append, number, place, remove, remove_all, section, text
from xen2kvmd.model import Case, Finding, Severity, VirtType
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

_MOST = 255  # above it a guest needs an IOMMU with extended interrupts


@rule(guide="")
def cpu_of_host(domain: Element, case: Case) -> Iterator[Finding]:
    """Give the guest the host's processor, as Xen does, or all that QEMU can emulate.

    Without this libvirt takes qemu64, which lacks what current distributions are built for. Xen's
    driver ignores a named model; its guests always see the host's.
    """
    kvm = case.target.virt_type is VirtType.KVM
    mode = case.target.cpu or ("host-passthrough" if kvm else "maximum")
    cpu = section(domain, "cpu")
    model = text(cpu, "model")
    for name in ("match", "check"):
        cpu.attrib.pop(name, None)
    if cpu.get("mode") != mode:
        cpu.attrib.pop("migratable", None)
        cpu.set("mode", mode)
        for name in ("model", "vendor"):
            remove_all(cpu, name)
        if model:
            yield Finding(
                "cpu-model-dropped",
                f"The CPU model '{model}', which Xen ignores, is not carried; it is {mode}.",
                severity=Severity.INFO,
                place="cpu/model",
            )
    if mode == "host-passthrough":
        cpu.set("migratable", cpu.get("migratable", "on"))


@rule(guide="")
def cpu_features_emulated(domain: Element, case: Case) -> Iterator[Finding]:
    """Under emulation, ask for no CPU feature that may be missing: the guest would not start.

    Nested virtualisation (vmx) is the one that Xen guests ask for most.
    """
    if case.target.virt_type is VirtType.QEMU:
        for feature in domain.findall("cpu/feature"):
            if feature.get("policy", "require") in ("require", "force"):
                where = place(feature)
                remove(feature)
                yield Finding(
                    "cpu-feature-dropped",
                    f"The CPU feature '{feature.get('name', '')}' is not asked of the emulator.",
                    severity=Severity.INFO,
                    hint="Add it again when the guest moves to a host with KVM.",
                    place=where,
                )


@rule(guide="")
def cpu_copies_emulated(domain: Element, case: Case) -> Iterator[Finding]:
    """Under emulation, do not offer to copy memory bytewise (erms, fsrm): there it is slow.

    A kernel that is offered it copies and clears whole pages so. A Debian 12 boots in 23 s without
    and in 27 s with it; no program needs it.
    """
    cpu = section(domain, "cpu")
    if case.target.virt_type is VirtType.QEMU and cpu.get("mode") == "maximum":
        for name in ("erms", "fsrm"):
            if cpu.find(f"feature[@name='{name}']") is None:
                append(cpu, "feature", policy="disable", name=name)
    yield from ()


@rule(guide="")
def cpu_topology(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove a topology that does not multiply to the number of CPUs; QEMU's driver refuses it."""
    topology = domain.find("cpu/topology")
    if topology is None:
        return
    product = 1
    for name in ("sockets", "dies", "cores", "threads"):
        product *= number(topology, name, 1)
    if product != int(text(domain, "vcpu") or "1"):
        remove(topology)
        yield Finding(
            "cpu-topology-dropped",
            f"The CPU topology makes {product} CPUs, the guest has {text(domain, 'vcpu') or '1'}.",
            severity=Severity.INFO,
            hint="Xen ignores it; each CPU is a socket of its own now, as under Xen.",
            place="cpu/topology",
        )


@rule(guide="")
def cpu_caches(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove a CPU cache mode that the CPU mode does not allow."""
    cache = domain.find("cpu/cache[@mode='passthrough']")
    mode = section(domain, "cpu").get("mode")
    if cache is not None and mode not in ("host-passthrough", "maximum"):
        remove(cache)
        yield Finding(
            "cpu-cache-dropped",
            f"The host's CPU caches cannot be shown to a guest whose CPU is {mode}.",
            severity=Severity.INFO,
            place="cpu/cache",
        )
    return


@rule(guide="")
def cpu_count(domain: Element, case: Case) -> Iterator[Finding]:
    """Stop a guest with more CPUs than a plain PC can have."""
    if int(text(domain, "vcpu") or "1") > _MOST:
        yield Finding(
            "too-many-cpus",
            f"The guest has {text(domain, 'vcpu')} CPUs; more than {_MOST} need an IOMMU device.",
            severity=Severity.BLOCKER,
            hint="Give it fewer CPUs, or add <iommu model='intel'> with eim='on' by hand.",
            place="vcpu",
        )
