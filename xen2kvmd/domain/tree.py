# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding, adding and removing elements of a domain XML."""

from collections.abc import Iterator

from lxml import etree

from xen2kvmd.xml import Element

# The order in which libvirt itself writes a domain: what we add goes where a reader looks for it.
_ORDER = tuple(
    "name uuid genid title description metadata maxMemory memory currentMemory blkiotune memtune"
    " memoryBacking vcpu vcpus iothreads iothreadids cputune numatune resource sysinfo bootloader"
    " bootloader_args os idmap features cpu clock on_poweroff on_reboot on_crash on_lockfailure"
    " pm perf devices seclabel keywrap launchSecurity".split()
)
_DEVICES = tuple(
    "emulator disk controller lease filesystem interface smartcard serial parallel console channel"
    " input tpm graphics sound audio video hostdev redirdev redirfilter hub watchdog memballoon"
    " rng nvram panic shmem memory iommu vsock crypto".split()
)


def section(domain: Element, name: str) -> Element:
    """Find a child of <domain>, or make it in libvirt's place."""
    found = domain.find(name)
    return _insert(domain, name, _ORDER) if found is None else found


def append(parent: Element, name: str, /, **attributes: str) -> Element:
    """Add a child at the end."""
    return etree.SubElement(parent, name, attributes)


def add_device(domain: Element, name: str, /, **attributes: str) -> Element:
    """Add a device after the others of its kind."""
    device = _insert(section(domain, "devices"), name, _DEVICES)
    for key, value in attributes.items():
        device.set(key, value)
    return device


def devices(domain: Element, name: str) -> Iterator[Element]:
    """Find all devices of a kind; safe while they are being removed."""
    yield from domain.findall(f"devices/{name}")


def remove(element: Element) -> None:
    """Take an element out of its parent."""
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def remove_all(root: Element, path: str) -> None:
    """Take out all elements at a path."""
    for element in root.findall(path):
        remove(element)


def text(root: Element, path: str) -> str:
    """Text at a path without white space around it, or ""."""
    return (root.findtext(path) or "").strip()


def target_dev(disk: Element) -> str:
    """The <target dev> of a <disk>, or ""."""
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


def number(element: Element, attribute: str, default: int) -> int:
    """An attribute as a number; the default where it is missing or none."""
    value = element.get(attribute, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else default


def place(element: Element) -> str:
    """Say where an element is, for a person: "devices/disk[xvda]/driver"."""
    steps = []
    for step in (element, *element.iterancestors()):
        if step.getparent() is not None:
            steps.append(f"{_name(step)}{_label(step)}")
    return "/".join(reversed(steps))


def brief(element: Element) -> str:
    """Write an element's start as a person would quote it: <hap state='on'>."""
    attributes = "".join(
        f" {etree.QName(key).localname}='{_shown(str(key), str(value))}'"
        for key, value in element.attrib.items()
    )
    return f"<{_name(element)}{attributes}>"


def _shown(key: str, value: str) -> str:
    return "***" if "pass" in key.lower() else value


def _name(element: Element) -> str:
    tag = etree.QName(element)
    return f"{element.prefix}:{tag.localname}" if element.prefix else tag.localname


def _label(element: Element) -> str:
    """Tell devices of a kind apart: a disk by its target, a NIC by its MAC, others by number."""
    parent = element.getparent()
    if parent is None or parent.tag != "devices":
        return ""
    label = element.find("target[@dev]") if element.tag == "disk" else element.find("mac[@address]")
    if label is not None:
        return f"[{label.get('dev') or label.get('address')}]"
    alike = parent.findall(str(element.tag))
    return f"[{alike.index(element) + 1}]" if len(alike) > 1 else ""


def _insert(parent: Element, name: str, order: tuple[str, ...]) -> Element:
    made = etree.Element(name)
    before = frozenset(order[: order.index(name) + 1])
    index = 0
    for position, sibling in enumerate(parent, start=1):
        if sibling.tag in before:
            index = position
    parent.insert(index, made)
    return made
