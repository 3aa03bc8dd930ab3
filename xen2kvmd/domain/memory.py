# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the guest's memory."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device, devices, place, remove, remove_all
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="15.2.4.2 (13)")
def balloon_virtio(domain: Element, case: Case) -> Iterator[Finding]:
    """Balloon memory by virtio instead of Xen's own way."""
    remove_all(domain, "devices/memballoon[@model='xen']")
    if domain.find("devices/memballoon") is None:
        add_device(domain, "memballoon", model="virtio")
    return iter(())


@rule(guide="")
def no_memory_guarantee(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove a guaranteed minimum of memory, which QEMU cannot promise."""
    guarantee = domain.find("memtune/min_guarantee")
    if guarantee is not None:
        amount = f"{(guarantee.text or '').strip()} {guarantee.get('unit', 'KiB')}"
        remove(guarantee)
        yield Finding(
            "memory-guarantee-dropped",
            f"The guest's guaranteed memory, {amount}, is not carried: QEMU has no such promise.",
            severity=Severity.INFO,
            place="memtune/min_guarantee",
        )


@rule(guide="")
def memory_hotplug(domain: Element, case: Case) -> Iterator[Finding]:
    """Keep room for memory to be added only where the guest has NUMA nodes to add it to."""
    if domain.find("cpu/numa/cell") is not None:
        return
    for element in (*domain.findall("maxMemory"), *devices(domain, "memory")):
        where = place(element)
        remove(element)
        yield Finding(
            "memory-hotplug-dropped",
            "Memory cannot be added to the running guest: QEMU wants a NUMA node for that.",
            severity=Severity.INFO,
            hint="Define a cell under <cpu><numa> and set <maxMemory> again.",
            place=where,
        )
