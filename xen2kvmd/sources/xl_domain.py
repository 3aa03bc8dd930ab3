# SPDX-License-Identifier: GPL-2.0-or-later
"""From an xl configuration's settings to the domain XML that libvirt's own importer would give.

Where we differ from `virsh domxml-from-native xen-xl`, on purpose:
- a target under /dev is a block device, also where no backendtype says so;
- a NIC without a bridge is on xenbr0, xl's default, with a finding;
- what libvirt drops without a word has a finding.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from xen2kvmd import xml
from xen2kvmd.errors import InvalidSource
from xen2kvmd.model import Finding, Severity
from xen2kvmd.sources.xl_devices import add_devices
from xen2kvmd.sources.xl_forms import CPUS, checked, is_path
from xen2kvmd.sources.xl_options import CARRIED, TO_DO, UNNEEDED
from xen2kvmd.sources.xl_syntax import Settings
from xen2kvmd.sources.xl_values import Values
from xen2kvmd.xml import Element

_MACHINES = {"pv": "xenpv", "pvh": "xenpvh", "hvm": "xenfv"}
_OS = {"pv": "linux", "pvh": "xenpvh", "hvm": "hvm"}
_BOOT = {"a": "fd", "c": "hd", "d": "cdrom", "n": "network"}
_EVENTS = {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "destroy"}
_UEFI = frozenset({"uefi", "ovmf"})
_BIOS = frozenset({"bios", "seabios", "rombios"})
_PV_GRUB = frozenset({"pvgrub32", "pvgrub64"})
_UEFI_FILE = re.compile(r"ovmf|edk2|uefi", re.IGNORECASE)
_OVMF = "/usr/lib/xen/boot/ovmf.bin"
_ACTIONS = frozenset({"destroy", "restart", "rename-restart", "preserve"})
_CRASH = frozenset({"coredump-destroy", "coredump-restart"})
_TSC = {
    "default": "auto",
    "always_emulate": "emulate",
    "native": "native",
    "native_paravirt": "paravirt",
    "0": "auto",
    "1": "emulate",
    "2": "native",
    "3": "paravirt",
}


@dataclass(frozen=True)
class Imported:
    """A Xen domain XML made from another form of configuration, and what was lost on the way."""

    domain_xml: str
    findings: tuple[Finding, ...]


def to_domain(settings: Settings) -> Imported:
    """Write the domain XML. Raises InvalidSource for settings that no guest can have."""
    values = Values(settings.values)
    domain = etree.Element("domain", {"type": "xen"})
    kind = guest_kind(values)
    _identity(domain, values)
    found = list(_resources(domain, values))
    found += _system(domain, values, kind)
    _features(domain, values, kind)
    _clock(domain, values)
    found += _events(domain, values)
    found += add_devices(_add(domain, "devices"), values, kind)
    return Imported(xml.serialize(domain), (*settings.findings, *found, *_unused(settings)))


def guest_kind(values: Values) -> str:
    """The guest's type: pv, pvh or hvm."""
    kind = values.text("type") or {"hvm": "hvm"}.get(values.text("builder"), "pv")
    if values.number("pvh"):
        kind = "pvh"
    if kind not in _OS:
        raise InvalidSource(f"The guest's type is '{kind}', not pv, pvh or hvm.")
    return kind


def _identity(domain: Element, values: Values) -> None:
    if not values.text("name"):
        raise InvalidSource("The guest has no name.", hint='Add a line: name = "GUEST".')
    _add(domain, "name", values.text("name"))
    if values.text("uuid"):
        _add(domain, "uuid", checked("uuid", values.text("uuid"), "The uuid"))
    generation = values.text("ms_vm_genid")
    if generation and generation not in ("generate", "none"):
        _add(domain, "genid", checked("uuid", generation, "ms_vm_genid"))


def _resources(domain: Element, values: Values) -> Iterator[Finding]:
    """Memory in MiB and CPUs: maxmem and maxvcpus are the most, memory and vcpus what is now."""
    now = values.number("memory")
    most = values.number("maxmem") or now
    if most <= 0:
        raise InvalidSource("The guest has no memory.", hint="Add a line: memory = 1024.")
    _add(domain, "memory", str(most * 1024), unit="KiB")
    _add(domain, "currentMemory", str((now or most) * 1024), unit="KiB")
    count = values.number("vcpus", 1)
    maximum = max(values.number("maxvcpus"), count, 1)
    vcpu = _add(domain, "vcpu", str(maximum), placement="static")
    if 0 < count < maximum:
        vcpu.set("current", str(count))
    if isinstance(values.get("cpus"), tuple) and all(map(CPUS.fullmatch, values.words("cpus"))):
        tuning = _add(domain, "cputune")
        for number, pinned in enumerate(values.words("cpus")[:maximum]):
            _add(tuning, "vcpupin", vcpu=str(number), cpuset=pinned)
        return
    cpus = values.text("cpus").replace(" ", "")
    if CPUS.fullmatch(cpus):
        vcpu.set("cpuset", cpus)
    elif cpus and cpus != "all":
        yield Finding(
            "xl-cpus-dropped",
            f"The pinning cpus='{cpus}' has no equivalent in a domain XML and is not carried.",
            hint="Name the target host's CPUs by <vcpu cpuset>.",
            place="cpus",
        )


def _events(domain: Element, values: Values) -> Iterator[Finding]:
    for name, default in _EVENTS.items():
        action = values.text(name, default).replace("_", "-")
        if action not in _ACTIONS and not (name == "on_crash" and action in _CRASH):
            yield Finding(
                "xl-action-unknown", f"{name} is '{action}'; now '{default}'.", place=name
            )
            action = default
        _add(domain, name, action)


def _system(domain: Element, values: Values, kind: str) -> Iterator[Finding]:
    if kind != "hvm" and values.text("bootloader"):
        _add(domain, "bootloader", values.text("bootloader"))
        arguments = values.words("bootloader_args") or values.words("bootargs")
        if arguments:
            _add(domain, "bootloader_args", " ".join(arguments))
    system = _add(domain, "os")
    _add(system, "type", _OS[kind], arch="x86_64", machine=_MACHINES[kind])
    yield from _firmware(system, values, kind)
    for option, name in (("kernel", "kernel"), ("ramdisk", "initrd")):
        # hvmloader as kernel is how xm named an HVM guest's firmware
        if values.text(option) and not values.text(option).endswith("hvmloader"):
            _add(system, name, checked("path", values.text(option), option))
    started = system.find("kernel") is not None or domain.find("bootloader") is not None
    if started and _command_line(values):
        _add(system, "cmdline", _command_line(values))
    if values.text("acpi_firmware"):
        _add(
            _add(system, "acpi"),
            "table",
            checked("path", values.text("acpi_firmware"), "acpi_firmware"),
            type="slic",
        )
    if kind == "hvm":
        for letter in values.text("boot", "c"):
            _add(system, "boot", dev=_BOOT.get(letter, "hd"))


def _firmware(system: Element, values: Values, kind: str) -> Iterator[Finding]:
    """Add what starts the guest: firmware=, which may be a file's path, or the older bios=.

    A PV guest's is GRUB for Xen, which reads the guest's own menu, as GRUB does under KVM.
    """
    asked = values.text("firmware") or (values.text("bios") if kind == "hvm" else "")
    uefi = asked in _UEFI or (is_path(asked) and _UEFI_FILE.search(asked))
    if uefi and kind == "hvm":
        _add(system, "loader", _OVMF, readonly="yes", type="pflash")
    elif asked and asked not in (_BIOS if kind == "hvm" else _PV_GRUB):
        yield Finding(
            "xl-firmware-unknown",
            f"The firmware '{asked}' is not known; the guest gets a BIOS.",
            hint='If it starts by UEFI, set firmware = "uefi" in a copy of the file.',
            place="firmware",
        )


def _command_line(values: Values) -> str:
    if values.text("cmdline"):
        return values.text("cmdline")
    root = f"root={values.text('root')}" if values.text("root") else ""
    return f"{root} {values.text('extra')}".strip()


def _features(domain: Element, values: Values, kind: str) -> None:
    features = etree.Element("features")
    if kind == "hvm":
        for name in ("acpi", "apic", "pae"):
            if values.number(name, 1):
                _add(features, name)
        if values.given("viridian") and values.get("viridian") != 0:
            _add(features, "viridian")
    if values.given("hap"):
        _add(features, "hap", state="on" if values.number("hap") else "off")
    inner = etree.Element("xen")
    if values.number("e820_host"):
        _add(inner, "e820_host", state="on")
    passthrough = values.text("passthrough")
    if passthrough in ("sync_pt", "share_pt"):
        _add(inner, "passthrough", state="on", mode=passthrough)
    for each in (inner, features):
        if len(each):
            (features if each is inner else domain).append(each)
    if values.given("nestedhvm"):
        cpu = _add(domain, "cpu", mode="host-passthrough")
        policy = "require" if values.number("nestedhvm") else "disable"
        _add(cpu, "feature", policy=policy, name="vmx")


def _clock(domain: Element, values: Values) -> None:
    if values.number("rtc_timeoffset"):
        basis = "localtime" if values.number("localtime") else "utc"
        offset = str(values.number("rtc_timeoffset"))
        clock = _add(domain, "clock", offset="variable", adjustment=offset, basis=basis)
    else:
        clock = _add(domain, "clock", offset="localtime" if values.number("localtime") else "utc")
    mode = _TSC.get(values.text("tsc_mode"), "")
    if mode and mode != "auto":
        _add(clock, "timer", name="tsc", present="yes", mode=mode)
    if values.given("hpet"):
        _add(clock, "timer", name="hpet", present="yes" if values.number("hpet") else "no")


def _unused(settings: Settings) -> Iterator[Finding]:
    """Name each option that the domain XML does not hold."""
    for name, value in settings.values.items():
        if name in CARRIED or value in ("", 0, ()):
            continue  # it is there, or off
        if name in UNNEEDED:
            yield Finding(
                "xl-option-dropped",
                f"The option {name} is not carried: {UNNEEDED[name]}.",
                severity=Severity.WARNING if UNNEEDED[name] in TO_DO else Severity.INFO,
                place=name,
            )
        else:
            yield Finding(
                "xl-option-unknown",
                f"The option {name} is not known and is not carried.",
                hint="Check in xl.cfg(5) what it did for the guest.",
                place=name,
            )


def _add(parent: Element, name: str, text: str = "", /, **attributes: str) -> Element:
    made = etree.SubElement(parent, name, attributes)
    made.text = text or None
    return made
