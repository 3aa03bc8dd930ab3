# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the initrd: it must find the root disk on virtio."""

from collections.abc import Iterator

from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding, Kernel, Severity
from xen2kvmd.rule import rule

# What reaches a disk. virtio_net is left out of initramfs-tools' list: a NIC that the initrd finds
# gets its name there, before the guest's own rules are read.
DISK_DRIVERS = ("virtio_pci", "virtio_blk", "virtio_scsi")
INITRAMFS_MODULES = "/etc/initramfs-tools/modules"


@rule(guide="15.2.3 (2)")
def kernel_with_virtio(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make sure that a kernel with virtio drivers starts."""
    if not case.facts.kernels:
        yield Finding(
            "no-kernel",
            "No kernel was found in the guest's /boot.",
            Severity.BLOCKER,
            hint="Install the distribution's kernel in the guest, or start it with the kernel "
            "that the Xen host gave it.",
            place="/boot",
        )
    elif not case.facts.virtio:
        yield Finding(
            "no-virtio-kernel",
            f"Kernel {case.facts.kernels[0].version} has no virtio drivers, and no other has.",
            Severity.BLOCKER,
            hint="Install the distribution's default kernel in the guest: kernel-default (SUSE), "
            "kernel (Red Hat), linux-image-amd64 (Debian), linux-generic (Ubuntu).",
            place=case.facts.kernels[0].image,
        )


@rule(guide="15.2.3 (1)")
def initramfs_modules(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put the virtio drivers on initramfs-tools' list, where the initrd lacks them.

    Xen's drivers stay: the guest can still be started under Xen.
    """
    kernel = _kernel(case)
    if kernel is None or kernel.initrd_virtio or case.facts.initrd_tool != "initramfs-tools":
        return
    text = guest.read(INITRAMFS_MODULES) if guest.is_file(INITRAMFS_MODULES) else ""
    listed = {line.split()[0] for line in text.splitlines() if line.strip()}
    missing = [driver for driver in DISK_DRIVERS if driver not in listed]
    if missing:
        newline = "\n" if text and not text.endswith("\n") else ""
        guest.write(INITRAMFS_MODULES, text + newline + "\n".join(missing) + "\n")
    yield from ()


@rule(guide="15.2.3 (2)")
def initrd_anew(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let the guest build the initrd of the kernel to start anew.

    It holds copies of what was changed: drivers, the resume device, names of NICs.
    """
    kernel = _kernel(case)
    if kernel is None or not kernel.initrd:
        return
    match case.facts.initrd_tool:
        case "initramfs-tools":
            guest.run("update-initramfs", "-u", "-k", kernel.version)
        case "dracut":
            drivers = " ".join((*DISK_DRIVERS, "virtio_net"))
            guest.run("dracut", "--force", "--add-drivers", drivers, kernel.initrd, kernel.version)
        case _ if not kernel.initrd_virtio:
            yield Finding(
                "no-initrd-tool",
                f"{kernel.initrd} has no virtio drivers, and the guest has no tool that is known "
                "to build it anew.",
                Severity.BLOCKER,
                hint="Build an initrd with virtio_pci and virtio_blk in the guest under Xen first.",
                place=kernel.initrd,
            )


def _kernel(case: Case) -> Kernel | None:
    """Return the kernel to start, if it can use virtio."""
    kernels = case.facts.kernels
    return kernels[0] if kernels and kernels[0].virtio else None
