# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of Linux kernels that must not stay when a guest leaves Xen.

They stand in boot menus, in what these are made of, and in the domain XML of a guest whose kernel
the host has. The names are those of Linux' Documentation/admin-guide/kernel-parameters.txt.
"""

import re

# earlyprintk=xen calls a hypervisor that is not there; clocksource=xen keeps KVM's clock away.
_XEN = re.compile(r"(?<!\S)(?:clocksource=xen|earlyprintk=xen\S*)(?!\S)")
# A paravirtualised guest without a device of its host's has no PCI, no ACPI and no APIC: its kernel
# turns ACPI off by itself (xen_arch_setup, arch/x86/xen/setup.c), and ignores these. Under KVM it
# finds no disk without PCI, and without ACPI and APIC it has one processor, cannot be told to shut
# down, or does not start at all (UEFI).
_OFF = re.compile(r"(?<!\S)(?:acpi=(?:off|ht|noirq)|noapic|nolapic|disableapic)(?!\S)")
_PCI = re.compile(r"(?<!\S)pci=(\S+)")
_NO_PCI, _NO_ACPI = frozenset({"off"}), frozenset({"noacpi"})
_SLOW_PCI = frozenset({"nomsi", "conf2"})


def without_xen(arguments: str, *, paravirtual: bool) -> str:
    """Take off what only holds under Xen; of an emulated guest, ACPI and APIC stay as it had them.

    pci=off goes in any case: every disk and NIC of the new guest is on PCI.
    """
    shorter = _XEN.sub("", arguments)
    taken = _NO_PCI | _NO_ACPI if paravirtual else _NO_PCI
    shorter = _PCI.sub(lambda found: _pci(found[1], taken), shorter)
    if paravirtual:
        shorter = _OFF.sub("", shorter)
    return arguments if shorter == arguments else re.sub(r"[ \t]{2,}", " ", shorter).strip()


def hindering(arguments: str) -> tuple[str, ...]:
    """Return the arguments that make devices of the new guest slow or useless, each once."""
    return tuple(dict.fromkeys(filter(_hinders, arguments.split())))


def _hinders(word: str) -> bool:
    name, _, value = word.partition("=")
    if name == "pci":
        return bool((_NO_ACPI | _SLOW_PCI) & set(value.split(",")))
    # modprobe.blacklist=, module_blacklist=, rd.driver.blacklist=, initcall_blacklist=
    no_virtio = name.endswith("blacklist") and "virtio" in value
    return no_virtio or bool(_OFF.fullmatch(word))


def _pci(options: str, taken: frozenset[str]) -> str:
    kept = [option for option in options.split(",") if option not in taken]
    return f"pci={','.join(kept)}" if kept else ""
