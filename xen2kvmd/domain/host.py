# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what the guest takes from its host: CPUs, memory, directories, devices.

All of it is carried; a person must check that the target host has it too.
"""

from collections.abc import Iterator

from xen2kvmd.domain.tree import brief, devices, place, remove
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

_PLACEMENT = (
    "vcpu[@cpuset]",
    "cputune/vcpupin",
    "cputune/emulatorpin",
    "cputune/iothreadpin",
    "cputune/cachetune",
    "cputune/memorytune",
    "numatune",
    "memoryBacking/hugepages",
    "blkiotune/device",
    "resource/partition",
    "resource/fibrechannel",
)
_FILES = (
    "devices/filesystem/source[@dir]",
    "devices/*/rom[@file]",
    "devices/*/log[@file]",
    "devices/*[@type='file']/source[@path]",
    "devices/*[@type='dev']/source[@path]",
    "os/acpi/table",
    "devices/tpm/backend/device",
    "devices/smartcard/certificate",
)


@rule(guide="15.2.4.2")
def host_placement(domain: Element, case: Case) -> Iterator[Finding]:
    """Carry pinning to CPUs and NUMA nodes, huge pages and control groups, and say so."""
    found = [path.partition("[")[0] for path in _PLACEMENT if domain.find(path) is not None]
    if found:
        yield Finding(
            "host-placement",
            f"The guest is tied to CPUs or memory of its host by {', '.join(found)}.",
            hint="It does not start on a host without them: adapt the numbers to the target host.",
            place=found[0],
        )


@rule(guide="")
def host_files(domain: Element, case: Case) -> Iterator[Finding]:
    """Carry files and directories of the host, and say which."""
    for path in _FILES:
        for element in domain.findall(path):
            yield Finding(
                "host-file",
                f"{brief(element)} names something on the host, which is not copied.",
                hint="Make it available at the same path on the target host.",
                place=place(element),
            )


@rule(guide="")
def host_devices(domain: Element, case: Case) -> Iterator[Finding]:
    """Hand devices of the host over by VFIO instead of Xen's pciback, and say which."""
    for device in (*devices(domain, "hostdev"), *devices(domain, "interface")):
        if device.tag == "interface" and device.get("type") != "hostdev":
            continue
        driver = device.find("driver[@name]")
        if driver is not None and driver.get("name") in ("xen", "kvm"):
            driver.set("name", "vfio")
        source = device.find("source")
        if source is not None and source.attrib.pop("writeFiltering", None) is not None:
            yield _no_filter(device)
        inner = () if source is None else source.iterchildren("{*}*")
        shown = "".join(brief(child) for child in inner)
        yield Finding(
            "host-device",
            f"The guest has a device of the Xen host: {brief(device)} {shown}.",
            hint="Correct its address for the target host, or remove it with 'virsh edit'.",
            place=place(device),
        )


def _no_filter(device: Element) -> Finding:
    return Finding(
        "write-filtering-dropped",
        "VFIO always filters what a guest writes into a PCI device's configuration.",
        place=place(device),
    )


@rule(guide="")
def tpm_state(domain: Element, case: Case) -> Iterator[Finding]:
    """Say that a TPM begins anew: what it keeps is no part of the domain's disks."""
    for tpm in devices(domain, "tpm"):
        yield Finding(
            "tpm-state",
            "The state of the guest's TPM, its keys and seals, is not copied.",
            hint="Have recovery keys at hand; the target host needs swtpm for an emulated TPM.",
            place=place(tpm),
        )


@rule(guide="")
def no_driver_domains(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove driver domains: under KVM the host itself serves disks and networks."""
    for element in domain.findall("devices/*/backenddomain"):
        where, name = place(element), element.get("name", "")
        remove(element)
        yield Finding(
            "driver-domain-dropped",
            f"The driver domain '{name}' is not used any more: the host serves this device.",
            hint="Check that the target host reaches what the driver domain had, and that nothing"
            " relied on the separation.",
            place=where,
        )
