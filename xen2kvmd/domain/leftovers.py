# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for what belongs to Xen, to another hypervisor, or to nobody that we know."""

from collections.abc import Iterator

from lxml import etree

from xen2kvmd.domain.schema import LIBVIRT, Vocabulary, step
from xen2kvmd.domain.tree import brief, place, remove
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

# Containers, POWER, s390, ARM, and what needs its own set-up on KVM. Xen's driver ignores all of
# these; QEMU on x86 refuses or ignores them.
FOREIGN = (
    "os/init os/initarg os/initenv os/initdir os/inituser os/initgroup os/dtb idmap keywrap"
    " launchSecurity features/gic features/hpt features/htm features/cfpc features/sbbc"
    " features/ibs features/ccf-assist features/nested-hv features/privnet features/capabilities"
    " devices/nvram devices/interface/guest devices/watchdog[@model='diag288']"
    " devices/hostdev[@mode='capabilities']"
).split()


@rule(guide="")
def no_command_lines(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove arguments for a hypervisor's command line: they speak to another QEMU, or to none.

    <xen:commandline> went to Xen's device model; <qemu:commandline> was ignored by Xen's driver and
    would take effect for the first time.
    """
    for element in domain.findall("{*}*"):
        namespace = etree.QName(element).namespace or ""
        if namespace.startswith(LIBVIRT):
            options = [argument.get("value", "") for argument in element.iterfind("{*}*[@value]")]
            shown = " ".join(option for option in options if option.startswith("-")) or "none"
            where = place(element)
            remove(element)
            yield Finding(
                "command-line-dropped",
                f"<{where}> is dropped; options that it has: {shown}.",
                hint="What a guest on KVM needs of them has an element of its own in most cases.",
                place=where,
            )
    etree.cleanup_namespaces(domain)


@rule(guide="")
def nothing_foreign(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove what only containers or machines other than x86 have."""
    for path in FOREIGN:
        for element in domain.findall(path):
            where, shown = place(element), brief(element)
            remove(element)
            yield Finding(
                "foreign-dropped",
                f"{shown} is for another kind of machine; Xen ignored it, and it is not carried.",
                severity=Severity.INFO,
                place=where,
            )


@rule(guide="")
def no_seclabels(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove security labels: they are words of the Xen host's policy (FLASK).

    libvirt on the target makes labels of its own where a security driver is on.
    """
    for element in domain.findall("seclabel") + domain.findall("devices//seclabel"):
        label = (element.findtext("label") or "").strip()
        where = place(element)
        remove(element)
        if label:
            yield Finding(
                "seclabel-dropped",
                f"The security label '{label}' of the Xen host is not carried.",
                hint="libvirt confines the guest by itself where SELinux or AppArmor is on.",
                place=where,
            )


@rule(guide="")
def nothing_unknown(domain: Element, case: Case) -> Iterator[Finding]:
    """Remove what libvirt's schema does not know; libvirt would drop it without a word."""
    vocabulary = Vocabulary.shipped()
    for element in list(domain.iter(etree.Element)):
        if element.getparent() is None and element is not domain:
            continue  # its parent went before it
        path = tuple(step(each) for each in (*reversed(tuple(element.iterancestors())), element))
        if not vocabulary.knows(path[1:]):
            where, shown = place(element), brief(element)
            remove(element)
            yield _unknown(shown, where)
            continue
        for name in vocabulary.strangers(path[1:], [str(key) for key in element.attrib]):
            element.attrib.pop(name)
            yield _unknown(f"The attribute '{name}'", place(element))


def _unknown(shown: str, where: str) -> Finding:
    return Finding(
        "unknown-dropped",
        f"{shown} is not in libvirt's schema and is not carried.",
        hint="If a newer libvirt knows it, add it with 'virsh edit' after the migration.",
        place=where,
    )
