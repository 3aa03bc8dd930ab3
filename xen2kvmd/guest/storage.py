# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what names disks: fstab, crypttab, the resume device, mdadm."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.arrays import CONFIGS
from xen2kvmd.guest.devices import remap_file, remap_text
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_OF_INITRDS = (
    "/etc/initramfs-tools/conf.d/*",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/*.conf",
    "/etc/suspend.conf",
)

_PATTERN = re.compile(r"(?<!\S)/dev/xvd\S*[*?[]\S*")  # as glob(7) has them
_VIRTIO = "/dev/vd*"


@rule(guide="15.2.3 (3)")
def fstab(guest: Tree, case: Case) -> Iterator[Finding]:
    """Name the file systems in /etc/fstab as KVM does."""
    yield from remap_file(guest, case, "/etc/fstab")
    for path, device in case.facts.missing:
        yield Finding(
            "mount-missing",
            f"{path}, which the guest mounts from {escaped(device)}, is on none of its disks "
            "that we can read: the guest's programs run without what is there.",
            Severity.WARNING,
            hint="Is a disk missing in the source's configuration, or encrypted? Look whether the "
            "new guest's initrd and boot menu are right.",
            place="/etc/fstab",
        )


@rule(guide="15.2.3 (3)")
def mount_units(guest: Tree, case: Case) -> Iterator[Finding]:
    """Name the file systems of systemd's own mount units as KVM does.

    The name of a swap unit is that of its device (systemd.swap(5)): such a one is only told.
    """
    mounts, swaps = (
        tuple(filter(guest.is_file, guest.glob(f"/etc/systemd/system/*.{kind}")))  # not masked
        for kind in ("mount", "swap")
    )
    for path in mounts:
        yield from remap_file(guest, case, path)
    for path in swaps:
        text = guest.read(path)
        if remap_text(text, case) != text:
            yield Finding(
                "swap-unit",
                f"{path} names a disk by its name under Xen, and is called after that name.",
                Severity.WARNING,
                hint="Use its UUID= in /etc/fstab instead, and remove the unit.",
                place=path,
            )


@rule(guide="15.2.3 (3)")
def crypttab(guest: Tree, case: Case) -> Iterator[Finding]:
    """Name the encrypted disks in /etc/crypttab as KVM does."""
    yield from remap_file(guest, case, "/etc/crypttab")


@rule(guide="15.2.3 (3)")
def resume_device(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let the initrd look for a hibernated system on the disk's name under KVM.

    An initrd that waits for a swap device of Xen's delays every boot by half a minute; so does one
    of dracut's for what its configuration lists (add_device, kernel_cmdline).
    """
    for pattern in _OF_INITRDS:
        for path in guest.glob(pattern):
            yield from remap_file(guest, case, path)


@rule(guide="15.2.3 (3)")
def mdadm_devices(guest: Tree, case: Case) -> Iterator[Finding]:
    """Name the members in mdadm's configuration as KVM does.

    Arrays are found by their UUID, but a DEVICE line that lists disks hides all others. A pattern
    for Xen's gets one for KVM's beside it.
    """
    for path in CONFIGS:
        yield from remap_file(guest, case, path)
        if guest.is_file(path):
            lines = guest.read(path).splitlines(keepends=True)
            guest.write(path, "".join(map(_with_pattern, lines)))


def _with_pattern(line: str) -> str:
    if line.lstrip().startswith("#") or _VIRTIO in line.split():
        return line
    return _PATTERN.sub(lambda found: f"{found[0]} {_VIRTIO}", line, count=1)
