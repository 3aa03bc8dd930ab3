# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the guest's memory."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device, remove_all
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="15.2.4.2 (13)")
def balloon_virtio(domain: Element, case: Case) -> Iterator[Finding]:
    """Balloon memory by virtio instead of Xen's own way."""
    remove_all(domain, "devices/memballoon[@model='xen']")
    if domain.find("devices/memballoon") is None:
        add_device(domain, "memballoon", model="virtio")
    return iter(())
