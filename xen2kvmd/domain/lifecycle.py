# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what happens when the guest ends."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import text
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

# What QEMU cannot do, and what comes nearest.
_NEAREST = {
    ("on_poweroff", "preserve"): "destroy",
    ("on_reboot", "preserve"): "destroy",
    ("on_poweroff", "rename-restart"): "restart",
    ("on_reboot", "rename-restart"): "restart",
    ("on_crash", "rename-restart"): "restart",
}


@rule(guide="")
def lifecycle_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Replace the actions at the guest's end that QEMU does not know by the nearest one."""
    for name in ("on_poweroff", "on_reboot", "on_crash"):
        event, old = domain.find(name), text(domain, name)
        new = _NEAREST.get((name, old), old)
        if name == "on_poweroff" and new == "restart" and text(domain, "on_reboot") == "destroy":
            new = "destroy"  # libvirt refuses "restart at power-off, but destroy at reboot"
        if event is not None and new != old:
            event.text = new
            yield Finding(
                "lifecycle-changed",
                f"QEMU cannot do '{old}' for {name} here; it is '{new}' now.",
                severity=Severity.INFO,
                place=name,
            )
