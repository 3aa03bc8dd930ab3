# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for the disk that the next update of GRUB installs it on."""

import re
from collections.abc import Iterator

from xen2kvmd.guest.devices import remap_file, remap_text, unmapped_in
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

SUSE = "/etc/default/grub_installdevice"
# "boot=/dev/xvda" of anaconda's (RHEL 5 and 6); later a link to /etc/default/grub.
REDHAT = "/etc/sysconfig/grub"
DEBCONF = "/var/cache/debconf/config.dat"
# What was answered to grub-pc, and to grub-efi of Ubuntu. No other package is touched.
_ASKED = re.compile(r"Name: grub-(?:pc|efi)/install_devices\n?")


@rule(guide="")
def grub_install_device(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let the next update of GRUB install it on the disk's name under KVM.

    grub-pc of Debian ends with an error where the disk is not there and nobody can be asked, which
    stops every unattended upgrade; so does update-bootloader of SUSE.
    """
    yield from remap_file(guest, case, SUSE)
    if guest.is_file(REDHAT) and not guest.read_link(REDHAT):
        yield from remap_file(guest, case, REDHAT)
    if not guest.is_file(DEBCONF):
        return
    lines = guest.read(DEBCONF).splitlines(keepends=True)
    asked = False
    for at, line in enumerate(lines):
        if line.startswith("Name:"):
            asked = bool(_ASKED.fullmatch(line))
        elif asked and line.startswith("Value:"):
            lines[at] = remap_text(line, case)
            yield from unmapped_in(lines[at], case, path=DEBCONF, number=at + 1)
    guest.write(DEBCONF, "".join(lines))
