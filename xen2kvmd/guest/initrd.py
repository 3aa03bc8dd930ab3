# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the initrd: it must find the root disk on virtio."""

import re
from collections.abc import Iterator, Sequence

from xen2kvmd.guest.initrd_tools import builder, updates_initrds
from xen2kvmd.guest.kernel_packages import kernel_package
from xen2kvmd.guest.mkinitcpio import preset
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Family, Finding, Kernel, Severity
from xen2kvmd.rule import rule

# What reaches a disk. virtio_net is left out of initramfs-tools' list: a NIC that the initrd finds
# gets its name there, before the guest's own rules are read.
DISK_DRIVERS = ("virtio_pci", "virtio_blk", "virtio_scsi")
# A tool that looks at the machine it runs on finds no Xen in our appliance, and leaves these out.
XEN_DRIVERS = ("xen-blkfront", "xen-netfront")
# What the guide puts in place of Xen's drivers (15.2.3, step 1).
GUIDE_DRIVERS = ("virtio_blk", "virtio_pci", "virtio_net", "virtio_balloon")
XEN_KERNEL_ONLY = frozenset({"xenblk", "xennet"})
# The last two are aliases, by which the kernel itself asks for them.
_XEN_DRIVERS = XEN_KERNEL_ONLY | {"xen_blkfront", "xen_netfront", "xen:vbd", "xen:vif"}
SUSE_KERNEL = "/etc/sysconfig/kernel"
_SUSE_LIST = re.compile(r"""^INITRD_MODULES=["'](?P<list>[^"']*)["']""", re.MULTILINE)
# How a person builds an initrd anew; mkinitrd of SUSE builds all.
_BY_HAND = {
    "dracut": "dracut --force {initrd} {version}",
    "mkinitrd": "mkinitrd",
    "mkinitrd of Red Hat": "mkinitrd -f {initrd} {version}",
    "mkinitcpio": "mkinitcpio -P",
    "initramfs-tools": "update-initramfs -u -k all",
}
_MOST = 5  # kernels that are told by name
INITRAMFS_CONFIG = "/etc/initramfs-tools/initramfs.conf"
_MODULES = re.compile(r"""^[ \t]*MODULES=["']?(\w+)""", re.MULTILINE)
INITRAMFS_MODULES = "/etc/initramfs-tools/modules"


@rule(guide="15.2.3 (2)")
def kernel_with_virtio(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make sure that a kernel with virtio drivers starts."""
    if case.direct:
        return
    if not case.facts.kernels:
        yield Finding(
            "no-kernel",
            "No kernel was found in the guest's /boot.",
            Severity.BLOCKER,
            hint="Install the distribution's kernel in the guest, or give it with --packages.",
            place="/boot",
        )
    elif not case.facts.virtio:
        package, command = kernel_package(case.facts)
        yield Finding(
            "no-virtio-kernel",
            f"Kernel {case.facts.kernels[0].version} has no virtio drivers or starts under Xen "
            f"only, and no other is there. Missing: {package or 'the default kernel'}.",
            Severity.BLOCKER,
            hint=f"Install it in the guest under Xen: {command} {package}".rstrip(": ")
            + (". Or give it (--packages), or allow --guest-repositories." if package else ""),
            place=case.facts.kernels[0].image,
        )


@rule(guide="15.2.3 (1)")
def initramfs_modules(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put the virtio drivers on initramfs-tools' list, where the initrd lacks them, or will.

    An initrd may be from before its guest was told to hold what is listed and no more, or what the
    machine needs on which it is built (initramfs.conf(5), MODULES=list and dep). Xen's drivers
    stay, and are listed where it is dep: the guest can still be started under Xen.
    """
    kernel = kernel_to_start(case)
    if kernel is None or case.facts.initrd_tool != "initramfs-tools":
        return
    held = _held(guest)
    if kernel.initrd_virtio and held not in ("list", "dep"):
        return
    xen = xen_drivers(guest, kernel)[:1] if held == "dep" else ()  # NICs as virtio's, see above
    text = guest.read(INITRAMFS_MODULES) if guest.is_file(INITRAMFS_MODULES) else ""
    listed = {line.split()[0].replace("-", "_") for line in text.splitlines() if line.strip()}
    wanted = (*DISK_DRIVERS, *xen)
    missing = [driver for driver in wanted if driver.replace("-", "_") not in listed]
    if missing:
        newline = "\n" if text and not text.endswith("\n") else ""
        guest.write(INITRAMFS_MODULES, text + newline + "\n".join(missing) + "\n")
    yield from ()


def _held(guest: Tree) -> str:
    """Return what initramfs-tools puts into an initrd: most, dep, list, "" where it is not said."""
    paths = (INITRAMFS_CONFIG, *guest.glob("/etc/initramfs-tools/conf.d/*"))
    texts = (guest.read(path) for path in paths if guest.is_file(path))
    chosen = [value for text in texts for value in _MODULES.findall(text)]
    return chosen[-1] if chosen else ""


def xen_drivers(guest: Tree, kernel: Kernel) -> tuple[str, ...]:
    """Return Xen's drivers for disks and NICs that a kernel has as modules."""
    return modules_among(guest, kernel, XEN_DRIVERS)


def modules_among(guest: Tree, kernel: Kernel, drivers: Sequence[str]) -> tuple[str, ...]:
    """Return those drivers that a kernel has as modules: not built in, nor left out."""
    folder = f"/lib/modules/{kernel.version}/kernel/drivers"
    return tuple(name for name in drivers if guest.glob(f"{folder}/*/{name}.ko*"))


@rule(guide="15.2.3 (1)")
def suse_initrd_modules(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put virtio's drivers on SUSE's list for the initrd (INITRD_MODULES), in place of Xen's.

    The default kernel has no xenblk; mkinitrd would look for it in vain. An emulated guest's list
    has ata_piix and the like. DOMU_INITRD_MODULES is read for Xen kernels only and stays.
    """
    if guest.is_file(SUSE_KERNEL):
        kernel = kernel_to_start(case)
        lacks = kernel is not None and not kernel.initrd_virtio
        text = guest.read(SUSE_KERNEL)
        changed = _SUSE_LIST.sub(lambda found: _replaced(found, anyway=lacks), text)
        guest.write(SUSE_KERNEL, changed)
    yield from ()


@rule(guide="15.2.3 (2)")
def initrd_anew(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let the guest build the initrd of the kernel to start anew.

    It holds copies of what was changed: drivers, the resume device, names of NICs. Those of other
    kernels stay: each takes minutes under emulation.
    """
    kernel = kernel_to_start(case)
    if kernel is None:
        return
    if not kernel.initrd:
        yield from _without(kernel)
        return
    match builder(guest, case.facts.initrd_tool, kernel):
        case "initramfs-tools" if updates_initrds(guest):
            guest.run("update-initramfs", "-u", "-k", kernel.version)
        case "initramfs-tools":
            guest.run("mkinitramfs", "-o", kernel.initrd, kernel.version)
        case "dracut":
            drivers = " ".join((*DISK_DRIVERS, "virtio_net", *xen_drivers(guest, kernel)))
            guest.run("dracut", "--force", "--add-drivers", drivers, kernel.initrd, kernel.version)
        case "mkinitrd" if case.facts.family is Family.SUSE:
            # It takes names in /boot only.
            image, initrd = kernel.image.removeprefix("/boot/"), kernel.initrd
            guest.run("mkinitrd", "-k", image, "-i", initrd.removeprefix("/boot/"))
        case "mkinitrd" if case.facts.family is Family.REDHAT:  # Slackware's has other options
            needed = (*DISK_DRIVERS[:2], *xen_drivers(guest, kernel))
            wanted = (f"--with={driver}" for driver in needed)
            guest.run("mkinitrd", "-f", *wanted, kernel.initrd, kernel.version)
        case "mkinitcpio" if made := preset(guest, kernel.initrd):
            guest.run("mkinitcpio", "-p", made.name)
        case "mkinitcpio":
            guest.run("mkinitcpio", "-k", kernel.version, "-g", kernel.initrd)
        case "mkinitfs":
            guest.run("mkinitfs", "-o", kernel.initrd, kernel.version)
        case _ if kernel.initrd_virtio:
            pass
        case "" if kernel.is_unified:
            yield Finding(
                "uki-without-virtio",
                f"The initrd in the unified kernel image {kernel.initrd} has no virtio drivers, "
                "and the image is not built anew here: it may be signed.",
                Severity.BLOCKER,
                hint="Build it in the guest under Xen, its initrd with virtio_pci and virtio_blk: "
                "add_drivers in /etc/dracut.conf.d, then kernel-install add, dracut --uefi or "
                "ukify build; or install one of the distribution's that has them.",
                place=kernel.initrd,
            )
        case _:
            yield Finding(
                "no-initrd-tool",
                f"{kernel.initrd} has no virtio drivers, and the guest has no tool that is known "
                "to build it anew.",
                Severity.BLOCKER,
                hint="Build an initrd with virtio_pci and virtio_blk in the guest under Xen first.",
                place=kernel.initrd,
            )
    yield from _others(guest, case)


def _others(guest: Tree, case: Case) -> Iterator[Finding]:
    """Tell of initrds that were built under Xen, and perhaps for that machine alone.

    Whether they have virtio is not looked up: to list each takes seconds under emulation. Most
    initrds of initramfs-tools, and all of mkinitfs, have what many machines need.
    """
    tool = case.facts.initrd_tool
    is_redhat = tool == "mkinitrd" and case.facts.family is Family.REDHAT
    how = _BY_HAND.get("mkinitrd of Red Hat" if is_redhat else tool, "")
    if not how or (tool == "initramfs-tools" and _held(guest) not in ("list", "dep")):
        return
    others = [
        kernel
        for kernel in case.facts.kernels[1:]
        if kernel.virtio and kernel.initrd and modules_among(guest, kernel, DISK_DRIVERS)
    ]
    if others:
        more = f" and {len(others) - _MOST} more" if others[_MOST:] else ""
        yield Finding(
            "other-initrds",
            "The initrds of the guest's other kernels stay as they were built under Xen, and may "
            "lack the drivers for its disks under KVM: "
            f"{', '.join(kernel.version for kernel in others[:_MOST])}{more}.",
            Severity.INFO,
            hint="Before you start one of these kernels, build its initrd anew in the new guest: "
            + how.format(initrd=others[0].initrd, version=others[0].version),
            place=others[0].initrd,
        )


def _without(kernel: Kernel) -> Iterator[Finding]:
    """Tell of a kernel that has its drivers for disks as modules, and no initrd with them.

    None is built for it: an entry of the menu would have to name it, in the boot loader's words.
    """
    if not kernel.initrd_virtio:
        yield Finding(
            "no-initrd",
            f"Kernel {kernel.version}, {kernel.image}, has virtio drivers as modules, and no "
            "initrd was found for it: the guest would not find its root disk.",
            Severity.BLOCKER,
            hint="Build one in the guest under Xen, with virtio_pci and virtio_blk, and have the "
            "boot menu name it.",
            place=kernel.image,
        )


def _replaced(found: re.Match[str], *, anyway: bool = False) -> str:
    """Give a list of drivers virtio's if it has Xen's, or anyway, and none twice."""
    words: list[str] = found["list"].split()
    if not (anyway or any(map(is_of_xen, words))):
        return found[0]
    kept = [word for word in words if word not in XEN_KERNEL_ONLY]
    missing = [driver for driver in GUIDE_DRIVERS if driver not in kept]
    if not missing and kept == words:
        return found[0]
    space = " " if found["list"].startswith(" ") else ""
    listed = space + " ".join(kept + missing) + space
    return found[0].replace(found["list"], listed)


def is_of_xen(driver: str) -> bool:
    """Tell whether a word of a list of drivers is one of Xen's."""
    return driver.removesuffix(".ko").replace("-", "_") in _XEN_DRIVERS


def kernel_to_start(case: Case) -> Kernel | None:
    """Return the kernel to start, if it can use virtio."""
    kernels = case.facts.kernels
    return kernels[0] if kernels and kernels[0].virtio else None
