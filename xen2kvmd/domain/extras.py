# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for devices that Xen has not and a guest under KVM should have."""

from collections.abc import Iterator

from xen2kvmd.domain.tree import add_device, append
from xen2kvmd.model import Case, Facts, Family, Finding
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element


@rule(guide="")
def random_virtio(domain: Element, case: Case) -> Iterator[Finding]:
    """Feed the guest random numbers from the host: keys and first boots need them."""
    if domain.find("devices/rng") is None:
        rng = add_device(domain, "rng", model="virtio")
        append(rng, "backend", model="random").text = "/dev/urandom"
    return iter(())


@rule(guide="")
def panic_device(domain: Element, case: Case) -> Iterator[Finding]:
    """Let a guest that knows how tell the host that it crashed, so that on_crash is obeyed.

    Xen has its own way. Linux has the driver, pvpanic, since 3.10; Windows takes virtio-win's.
    """
    if _knows_panic(case.facts) and domain.find("devices/panic") is None:
        add_device(domain, "panic", model="isa")
    return iter(())


def _knows_panic(facts: Facts) -> bool:
    if facts.family is Family.WINDOWS or not facts.kernels:
        return False  # nobody looked
    numbers = facts.kernels[0].version.split(".")[:2]
    version = tuple(int(number) for number in numbers if number.isascii() and number.isdigit())
    return facts.arch in ("x86_64", "i686") and version >= (3, 10)


@rule(guide="")
def sound_of_qemu(domain: Element, case: Case) -> Iterator[Finding]:
    """Replace a sound card that QEMU does not have by the like of it."""
    for sound in domain.iterfind("devices/sound[@model='ich7']"):
        sound.set("model", "ich6")
    return iter(())
