# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for clock and timers."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import append, brief, place, remove, section
from xen2kvmd.model import Case, Family, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

# What QEMU's driver refuses, as attribute of a timer: libvirt's qemuValidateDomainDefClockTimers.
_REFUSED: dict[str, dict[str, tuple[str, ...]]] = {
    "pit": {"tickpolicy": ("merge",)},
    "rtc": {"tickpolicy": ("merge", "discard"), "track": ("boot",)},
}
_WINDOWS = (
    {"name": "rtc", "tickpolicy": "catchup"},
    {"name": "pit", "tickpolicy": "delay"},
    {"name": "hpet", "present": "no"},
    {"name": "hypervclock", "present": "yes"},
)


@rule(guide="")
def timers_kvm(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove what QEMU's timers do not know: the platform timer, and how Xen emulates the TSC."""
    for timer in domain.findall("clock/timer"):
        name, shown, where = timer.get("name", ""), brief(timer), place(timer)
        dropped = name == "platform"
        if dropped:
            remove(timer)
        for key, values in _REFUSED.get(name, {}).items():
            if timer.get(key) in values:
                timer.attrib.pop(key)
                dropped = True
        if name == "tsc" and timer.get("mode", "auto") != "auto":
            timer.attrib.pop("mode")
            dropped = True
        if dropped:
            yield Finding(
                "timer-changed",
                f"QEMU has nothing like {shown}.",
                severity=Severity.INFO,
                hint="The guest's kernel chooses kvm-clock, or tsc where that is stable.",
                place=where,
            )


@rule(guide="")
def windows_timers(domain: Element, case: Case) -> Iterator[Finding]:
    """Give Windows the timers that it keeps time by, as virt-install does."""
    if case.facts.family is not Family.WINDOWS:
        return iter(())
    clock = section(domain, "clock")
    if not clock.get("offset"):
        clock.set("offset", "localtime")
    for attributes in _WINDOWS:
        if clock.find(f"timer[@name='{attributes['name']}']") is None:
            append(clock, "timer", **attributes)
    return iter(())
