# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what only makes sense under Xen. It goes only where it does harm under KVM."""

import re
from collections.abc import Iterable, Iterator
from functools import partial

from xen2kvmd.arguments import hindering, without_xen
from xen2kvmd.guest.cmdline import edit_defaults, edit_menus, menu_lines
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_UNDER_XEN = "/etc/systemd/system/proc-xen.mount.d/xen.conf"

# Programs that talk to a Xen host: of XenServer and XCP-ng, and of xen-tools' distributions.
_AGENTS = (
    "/usr/sbin/xe-daemon",
    "/usr/sbin/xe-linux-distribution",
    "/usr/sbin/xen-guest-agent",
    "/usr/bin/xenstored",
)
_MODULE_LISTS = ("/etc/modules", "/etc/modules-load.d/*.conf")
_SYSCTL = ("/etc/sysctl.conf", "/etc/sysctl.d/*.conf")
_XEN_SETTING = re.compile(r"^[ \t]*-?[ \t]*(xen[./]\w+)[ \t]*=", re.M)
_XEN_MODULE = re.compile(r"^[ \t]*(xen\w*(?:-\w+)*)[ \t]*$", re.M)


@rule(guide="15.2.3 (4)")
def xen_arguments(guest: Tree, case: Case) -> Iterator[Finding]:
    """Take off the kernel command line what only holds under Xen: its clock, and PCI switched off.

    A paravirtualised kernel ignored pci=off, acpi=off and noapic: under KVM it finds no disk
    without PCI. What an emulated guest was started with, and what keeps drivers from their devices,
    is told. Other arguments of Xen's (xen_blkfront., xen_emul_unplug=) are ignored and stay.
    """
    edit = partial(without_xen, paravirtual=case.paravirtual)
    edit_defaults(guest, edit)
    yield from edit_menus(guest, edit)
    told: set[str] = set()
    for path, number, line in menu_lines(guest):
        left = [word for word in hindering(line) if word not in told]
        told.update(left)
        if left:
            yield Finding(
                "argument-hinders",
                f"{path}, line {number}, starts a kernel with {escaped(' '.join(left))}, which may "
                "keep it from disks, NICs, processors or a shutdown under KVM.",
                Severity.WARNING,
                hint="Take it off in what the guest's boot menu is made of, unless you know why it "
                "is there.",
                place=f"{path}:{number}",
            )


@rule(guide="")
def xenfs(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let the guest boot without the file system xenfs (/etc/fstab: nofail).

    Only Xen has it; a mount that must not fail and does ends in the emergency shell. systemd is
    told not to try it elsewhere (systemd.unit(5), ConditionVirtualization=).
    """
    if guest.is_file("/etc/fstab"):
        lines = guest.read("/etc/fstab").splitlines(keepends=True)
        guest.write("/etc/fstab", "".join(map(_with_nofail, lines)))
        if case.facts.init == "systemd" and any(map(_mounts_xenfs, lines)):
            guest.write(_UNDER_XEN, "[Unit]\nConditionVirtualization=xen\n")
    yield from ()


@rule(guide="")
def xen_programs(guest: Tree, case: Case) -> Iterator[Finding]:
    """Tell of programs, modules and settings for Xen, which stay and do nothing under KVM."""
    for path in filter(guest.exists, _AGENTS):
        yield Finding(
            "xen-agent",
            f"{path} is for a Xen host. It does nothing under KVM, and stays.",
            Severity.INFO,
            hint="Remove its package (xe-guest-utilities, xen-guest-agent) when the guest shall "
            "not go back to Xen, and install qemu-guest-agent.",
            place=path,
        )
    for path in _own_files(guest, _MODULE_LISTS):
        for name in _XEN_MODULE.findall(guest.read(path)):
            yield Finding(
                "xen-module-listed",
                f"{path} loads {name}, which finds no Xen under KVM; systemd-modules-load.service "
                "may end as failed. The guest starts all the same.",
                Severity.INFO,
                hint="Remove the line when the guest shall not go back to Xen.",
                place=path,
            )
    for path in _own_files(guest, _SYSCTL):
        for name in _XEN_SETTING.findall(guest.read(path)):
            yield Finding(
                "xen-setting",
                f"{path} sets {name}, which is not there under KVM. The guest starts all the same.",
                Severity.INFO,
                hint="Remove the line when the guest shall not go back to Xen.",
                place=path,
            )


def _own_files(guest: Tree, patterns: Iterable[str]) -> Iterator[str]:
    """Yield the files that match. Debian's modules.conf is a link to /etc/modules: told once."""
    for path in (found for pattern in patterns for found in guest.glob(pattern)):
        if guest.is_file(path) and not guest.read_link(path):
            yield path


def _mounts_xenfs(line: str) -> bool:
    """Tell whether a line of fstab becomes the unit proc-xen.mount, and is started at boot."""
    fields = line.split()
    mounted = fields[1:3] == ["/proc/xen", "xenfs"] and not line.lstrip().startswith("#")
    return mounted and "noauto" not in "".join(fields[3:4]).split(",")


def _with_nofail(line: str) -> str:
    fields = line.split()
    if line.lstrip().startswith("#") or len(fields) < 4 or fields[2] != "xenfs":
        return line
    options = fields[3].split(",")
    if {"nofail", "noauto"} & set(options):
        return line
    return re.sub(r"^(\s*\S+\s+\S+\s+xenfs\s+\S+)", r"\1,nofail", line)
