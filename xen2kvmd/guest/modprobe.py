# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for modprobe's configuration (modprobe.d(5)), which initrds have copies of."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

_ALIAS = re.compile(
    r"^(?P<head>[ \t]*alias[ \t]+(?:eth|scsi_hostadapter)\d*[ \t]+)"
    r"(?P<driver>xennet|xenblk|xen-vnif|xen-vbd|xen[-_]netfront|xen[-_]blkfront)(?=\s|$)",
    re.MULTILINE,
)
_NEEDED = "virtio(?:[-_](?:pci|pci_modern_dev|pci_legacy_dev|ring|blk|scsi|net))?"
# What keeps a driver from its devices: its aliases not taken, or something run in its place.
_KEPT_OFF = re.compile(
    rf"""^(?=[ \t]*(?:
        blacklist[ \t]+{_NEEDED}[ \t]*$
        | install[ \t]+{_NEEDED}[ \t]+(?:/usr)?(?:/bin/)?(?:true|false|:)[ \t]*$
        | alias[ \t]+{_NEEDED}[ \t]+(?:off|/dev/null)[ \t]*$
    ))""",
    re.MULTILINE | re.VERBOSE,
)


@rule(guide="15.2.3 (1)")
def modprobe_aliases(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let eth0 and scsi_hostadapter mean virtio's drivers instead of Xen's (modprobe.conf).

    mkinitrd of RHEL 5 takes the drivers for disks from there, when a later update runs it, too.
    """
    for path in _files(guest):
        guest.write(path, _ALIAS.sub(_virtio_alias, guest.read(path)))
    yield from ()


@rule(guide="15.2.3 (2)")
def virtio_not_kept_off(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let nothing keep virtio's drivers for disks and NICs from their devices.

    Under Xen they had none. Lines for other drivers of virtio, such as virtio_balloon, stay.
    """
    for path in _files(guest):
        guest.write(path, _KEPT_OFF.sub("# ", guest.read(path)))
    yield from ()


def _files(guest: Tree) -> Iterator[str]:
    paths = ("/etc/modprobe.conf", *guest.glob("/etc/modprobe.d/*"))
    return filter(guest.is_file, paths)


def _virtio_alias(found: re.Match[str]) -> str:
    is_nic = re.search("net|vnif", found["driver"])
    return f"{found['head']}{'virtio_net' if is_nic else 'virtio_blk'}"
