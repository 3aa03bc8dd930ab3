# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the machine, its firmware and direct kernel boot."""

import re
from collections.abc import Iterator

from xen2kvmd.arguments import without_xen
from xen2kvmd.domain.names import pending
from xen2kvmd.domain.read import is_uefi
from xen2kvmd.domain.tree import append, remove, remove_all, section, text
from xen2kvmd.model import Case, Finding, Firmware, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

_DEVICE = re.compile(r"/dev/((?:xvd|hd|sd)[a-z]+)([0-9]*)\b")
_XEN_CONSOLE = re.compile(r"\bconsole=(?:hvc0|xvc0)\b")


@rule(guide="")
def machine_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Choose the machine: q35, or pc (i440fx) for kernels that know only old virtio.

    On q35 libvirt puts virtio devices behind PCIe ports, where they speak virtio 1.0 only. Linux
    speaks that since 4.0; older kernels find such disks not at all. On pc they speak both.
    """
    kind = domain.find("os/type")
    if kind is not None:
        old = kind.get("machine", "")
        if case.target.machine:
            kind.set("machine", case.target.machine)
        elif not old or old.startswith("xen"):
            kind.set("machine", "pc" if _old(case) else "q35")
    return iter(())


def _old(case: Case) -> bool:
    """Whether the kernel that starts is older than Linux 4.0."""
    own = case.facts.kernels[0].version if case.facts.kernels else ""
    major = (case.target.boot_version if case.direct else own).partition(".")[0]
    known = major.isascii() and major.isdigit()
    return case.facts.firmware is Firmware.BIOS and known and int(major) < 4


@rule(guide="")
def firmware_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Let libvirt choose the firmware: the loader's file belongs to the Xen host.

    A guest that Xen started with OVMF gets UEFI again. Its boot entries were in Xen's memory or in
    a file on the Xen host; the firmware finds the boot loader by its fallback path. Xen's OVMF does
    not enforce Secure Boot, and neither does the new one: libvirt would prefer a firmware that
    refuses loaders and kernels without a signature of Microsoft's.
    """
    system = section(domain, "os")
    nvram = system.find("nvram")
    uefi = case.facts.firmware is Firmware.UEFI or is_uefi(domain)
    remove_all(system, "loader")
    if uefi and system.get("firmware") != "efi":
        system.set("firmware", "efi")
        yield Finding(
            "uefi-boot-entries",
            "The guest starts with fresh UEFI variables: its own boot entries are not carried.",
            hint="A boot loader is looked for at \\EFI\\BOOT\\BOOTX64.EFI. Secure Boot is off.",
            severity=Severity.INFO,
            place="os",
        )
    if uefi and system.find("firmware") is None:
        append(append(system, "firmware"), "feature", enabled="no", name="secure-boot")
    if nvram is not None:
        remove(nvram)


@rule(guide="15.2.4.2")
def kernel_from_host(domain: Element, case: Case) -> Iterator[Finding]:
    """Start the guest's own kernel where it has one, else keep the kernel on the host.

    A kernel on the Xen host is often the only one of a guest without partition table, which no
    firmware can start. Where it is asked for, libvirt starts the new guest with that one, too
    (formatdomain.html#direct-kernel-boot), by copies beside its disks.
    """
    kernel, initrd = text(domain, "os/kernel"), text(domain, "os/initrd")
    if not kernel:
        yield from _arguments_of_pygrub(domain)
        return
    if case.target.boot_files:
        yield from _copied(domain, case)
        return
    if case.facts.kernels and (case.facts.bootloader or case.facts.gets_grub_menu):
        for name in ("kernel", "initrd", "cmdline", "dtb"):
            remove_all(domain, f"os/{name}")
        yield Finding(
            "kernel-from-disk",
            f"The guest starts its own kernel {case.facts.kernels[0].version} from its disk,"
            f" not {kernel} of the Xen host.",
            severity=Severity.INFO,
            hint="Kernel arguments of the Xen host that the guest needs belong into its GRUB.",
            place="os/kernel",
        )
        return
    files = f"{kernel} and {initrd}" if initrd else kernel
    yield Finding(
        "kernel-on-host",
        f"The guest is started with {files} of the Xen host; the target host needs them too.",
        hint="Copy them to the same path. The initrd must hold virtio_blk, virtio_net, virtio_pci.",
        place="os/kernel",
    )


def _arguments_of_pygrub(domain: Element) -> Iterator[Finding]:
    """Take out arguments without a kernel, which QEMU refuses; the guest's menu gets them."""
    given = " ".join(filter(None, (text(domain, f"os/{name}") for name in ("root", "cmdline"))))
    for name in ("root", "cmdline"):
        remove_all(domain, f"os/{name}")
    if given:
        yield Finding(
            "arguments-without-kernel",
            f"The Xen host adds '{given}' to the arguments of the kernel on the guest's disk; "
            "nothing does so under KVM.",
            severity=Severity.INFO,
            hint="A migration puts them into the guest's boot menu.",
            place="os/cmdline",
        )


def _copied(domain: Element, case: Case) -> Iterator[Finding]:
    """Name the copies of kernel and initrd."""
    names = []
    for volume in case.target.boot_files:
        element = section(domain, "os").find(volume.dev)
        if element is not None:
            names.append(element.text or "")
            element.text = volume.path
    yield Finding(
        "direct-kernel-boot",
        f"libvirt starts the guest with copies of {' and '.join(names)} of the Xen host.",
        severity=Severity.INFO,
        hint="No update inside the guest changes them. The initrd must hold virtio_blk and "
        "virtio_pci, unless they are built into the kernel.",
        place="os/kernel",
    )


@rule(guide="15.2.4.2")
def kernel_root(domain: Element, case: Case) -> Iterator[Finding]:
    """Put Xen's <root> on the kernel's command line, where QEMU's kernels look for it."""
    root, kernel = domain.find("os/root"), domain.find("os/kernel")
    if root is not None:
        device = (root.text or "").strip()
        cmdline = domain.find("os/cmdline")
        remove(root)
        if cmdline is None and kernel is not None:
            cmdline = append(section(domain, "os"), "cmdline")
        if cmdline is not None and device and "root=" not in (cmdline.text or ""):
            cmdline.text = f"root={device} {cmdline.text or ''}".strip()
    return iter(())


@rule(guide="15.2.4.2")
def kernel_cmdline(domain: Element, case: Case) -> Iterator[Finding]:
    """Give the kernel's arguments the names that disks and console have under KVM.

    Only the names of disks that are still on Xen's buses are replaced. What only holds under Xen
    (earlyprintk=xen, pci=off) goes.
    """
    cmdline = domain.find("os/cmdline")
    if cmdline is None and case.direct:
        cmdline = append(section(domain, "os"), "cmdline")
    if cmdline is None:
        return iter(())
    here = pending(domain)
    names = {old: new for old, new in case.devices if old in here}
    whole = {part.dev: part.number for part in case.joined if part.dev == part.disk}

    def rename(match: re.Match[str]) -> str:
        disk, part = match[1], match[2]
        if disk + part in names:  # xvda2 as a whole disk
            return f"/dev/{names[disk + part]}{whole.get(disk + part, '')}"
        return f"/dev/{names.get(disk, disk)}{part}"

    renamed = _DEVICE.sub(rename, cmdline.text or "")
    plain = without_xen(renamed, paravirtual=case.paravirtual)
    cmdline.text = _XEN_CONSOLE.sub("console=ttyS0", plain)
    words = cmdline.text.split()
    if case.direct and not any(word.startswith("console=") for word in words):
        # Under Xen it was hvc0 without a word.
        cmdline.text = " ".join((*words, "console=tty0", "console=ttyS0"))
    return iter(())
