# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for how the guest starts: the domain's type, <bootloader> and <os>."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import append, remove_all, section, text
from xen2kvmd.model import Case, Finding, Severity, VirtType
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

_I686 = ("x86_32", "i386", "i486", "i586")  # Xen's and the kernel's words for it


@rule(guide="15.2.4.2 (1)")
def type_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Make it a KVM domain, or a QEMU one where the host cannot virtualise in hardware."""
    domain.set("type", case.target.virt_type)
    if case.target.virt_type is VirtType.QEMU and case.target.under_xen:
        yield Finding(
            "target-under-xen",
            "The target host runs under Xen, where libvirt takes no KVM domain: the guest's is of "
            "the type qemu, and would run by software emulation, slowly.",
            hint="Leave it off (--no-start). Once the host has started a kernel without Xen, "
            "'xen2kvm finalize JOB' makes it a KVM domain.",
        )
    elif case.target.virt_type is VirtType.QEMU:
        yield Finding(
            "software-emulation",
            "The target host has no usable KVM: the guest will run by software emulation, slowly.",
            hint="Load kvm_intel or kvm_amd, or enable virtualisation in the host's firmware.",
        )


@rule(guide="15.2.4.2 (2)")
def no_bootloader(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove Xen's boot loader: under KVM the firmware starts the guest's own.

    pygrub and its kind run on the Xen host and read the kernel out of the guest's disk.
    """
    remove_all(domain, "bootloader")
    return iter(())


@rule(guide="15.2.4.2 (3)")
def no_bootloader_args(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove the arguments of Xen's boot loader."""
    arguments = text(domain, "bootloader_args")
    remove_all(domain, "bootloader_args")
    if arguments:
        yield Finding(
            "bootloader-args-dropped",
            f"The Xen boot loader's arguments '{arguments}' are lost.",
            hint="If they choose a kernel or a menu entry, choose it in the guest's GRUB instead.",
            place="bootloader_args",
        )


@rule(guide="15.2.4.2 (4)")
def os_hvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Make it a fully virtualised guest: KVM knows no other kind."""
    system = section(domain, "os")
    kind = system.find("type")
    if kind is None:
        kind = append(system, "type")
    kind.text = "hvm"
    return iter(())


@rule(guide="15.2.4.2 (6)")
def os_arch(domain: Element, case: Case) -> Iterator[Finding]:
    """Name the architecture; libvirt would take the target host's."""
    kind = domain.find("os/type")
    arch = "" if kind is None else kind.get("arch") or case.facts.arch
    if kind is not None:
        arch = "i686" if arch in _I686 else arch
        kind.set("arch", arch)
    if arch not in ("x86_64", "i686"):
        yield Finding(
            "architecture",
            f"The guest is for {arch} machines; only x86 guests are known to start on KVM.",
            severity=Severity.BLOCKER,
            hint="Set machine and firmware of the target by hand.",
            place="os/type",
        )


@rule(guide="15.2.4.2 (5)")
def boot_from_disk(domain: Element, case: Case) -> Iterator[Finding]:
    """Start from the hard disk where the document gives no boot order.

    A PV guest has none: its kernel came from the Xen host or through pygrub.
    """
    order = domain.find("os/boot") is not None or domain.find("devices/*/boot") is not None
    if not order and domain.find("os/kernel") is None:
        append(section(domain, "os"), "boot", dev="hd")
    return iter(())


@rule(guide="")
def boot_disk_first(domain: Element, case: Case) -> Iterator[Finding]:
    """Start from the disk that has /boot, where that is not the first one.

    A BIOS starts the first disk and no other; pygrub looked into the one that Xen's files named.
    """
    disks = [new for old, new in case.devices if old == case.facts.boot_disk]
    first = min((new for _, new in case.devices), key=lambda name: (len(name), name), default="")
    if not disks or disks[0] == first or domain.find("devices/*/boot") is not None:
        return iter(())
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        if target is not None and target.get("dev") == disks[0]:
            remove_all(domain, "os/boot")
            append(disk, "boot", order="1")
    return iter(())
