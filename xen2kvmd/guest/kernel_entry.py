# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for a kernel that no entry of the boot menu starts.

A package's scripts make an entry where the guest has its distribution's tools for that. Menus
written by hand for pygrub or pv-grub are read by no such tool.
"""

import re
from collections.abc import Iterator
from textwrap import dedent

from xen2kvmd.guest.bls import BLS
from xen2kvmd.guest.menus import Menu, image_of, read_menu
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Finding, Kernel, Severity
from xen2kvmd.rule import rule

_INITRD = re.compile(r"^([ \t]*initrd(?:16|efi)?[ \t]+(?:\S*/)?)[^/\s]+", re.MULTILINE)
_GRUB2 = r"^[ \t]*menuentry [^\n]*\{[ \t]*\n(?P<body>(?:(?![ \t]*\}[ \t]*$)[^\n]*\n)*)"
_TITLE = r"^[ \t]*title[ \t]+[^\n]*\n(?P<body>(?:(?![ \t]*title[ \t])[^\n]*\n?)*)"
_LABEL = r"^[ \t]*label[ \t]+[^\n]*\n(?P<body>(?:(?![ \t]*label[ \t])[^\n]*\n?)*)"
_MENU_LABEL = re.compile(r"^[ \t]*menu[ \t][^\n]*\n", re.MULTILINE | re.IGNORECASE)


@rule(guide="15.2.3 (2)")
def kernel_entry(guest: Tree, case: Case) -> Iterator[Finding]:
    """Give the boot menu an entry for the kernel with virtio drivers, where it has none.

    It is the default's with another kernel and initrd: its arguments are what this guest needs.
    """
    kernel, menu = next(iter(case.facts.kernels), None), read_menu(guest)
    if kernel is None or not (kernel.virtio and kernel.initrd) or menu is None:
        return
    if kernel.initrd == kernel.image:  # a unified image, which needs none
        return
    image = kernel.image.rpartition("/")[2]
    known = {one.image.rpartition("/")[2] for one in case.facts.kernels if not one.virtio}
    now = menu.default
    if any(image_of(guest, one) == image and not one.hypervisor for one in menu.entries):
        return
    if now is None or now.hypervisor or image_of(guest, now) not in known:
        return  # nothing to go by, or a kernel that we know nothing of
    if _add(guest, menu, kernel):
        yield Finding(
            "kernel-entry-added",
            f"No entry of the boot menu starts kernel {kernel.version}: it has one now, made of "
            f"'{escaped(now.title)}'.",
            Severity.INFO,
            place=menu.path,
        )


def _add(guest: Tree, menu: Menu, kernel: Kernel) -> bool:
    """Add the entry; tell whether there was one to make it of."""
    old = menu.default.kernel if menu.default else ""
    if menu.kind in ("bls", "systemd-boot"):
        return _add_file(guest, old, kernel)
    text = guest.read(menu.path)
    pattern = {"grub2": _GRUB2, "grub-legacy": _TITLE, "extlinux": _LABEL}[menu.kind]
    found = re.finditer(pattern, text, re.MULTILINE | re.IGNORECASE)
    body = next((one["body"] for one in found if _names(one["body"], old)), "")
    if not body:
        return False
    lines = _other_kernel(dedent(body), old, kernel).strip("\n")
    indented = "".join(f"\t{line.strip()}\n" for line in lines.splitlines())
    match menu.kind:
        case "grub2":
            new = f"menuentry 'Linux {kernel.version}' {{\n{indented}}}\n"
        case "grub-legacy":
            new = f"title Linux {kernel.version}\n{indented}"
        case _:
            label = re.sub(r"[^A-Za-z0-9.-]", "-", kernel.version)
            new = f"label {label}\n{_MENU_LABEL.sub('', indented)}"
    guest.write(menu.path, f"{text.rstrip()}\n\n{new}")
    return True


def _add_file(guest: Tree, old: str, kernel: Kernel) -> bool:
    """Copy the file of an entry, as kernel-install of that distribution would name it."""
    paths = (path for pattern in BLS for path in guest.glob(pattern) if guest.is_file(path))
    path = next((path for path in paths if _names(guest.read(path), old)), "")
    if not path:
        return False
    before = re.sub(r"^vmlinu[xz]-", "", old)
    text = _other_kernel(guest.read(path), old, kernel).replace(before, kernel.version)
    folder, _, name = path.rpartition("/")
    new = name.replace(before, kernel.version) if before in name else f"{kernel.version}.conf"
    guest.write(f"{folder}/{new}", text)
    return True


def _names(text: str, kernel: str) -> bool:
    at = rf"^[ \t]*(?:linux(?:16|efi)?|kernel)[ \t]+(?:\S*/)?{re.escape(kernel)}(?=\s|$)"
    return bool(re.search(at, text, re.MULTILINE | re.IGNORECASE))


def _other_kernel(text: str, old: str, kernel: Kernel) -> str:
    """Put another kernel and its initrd into an entry's lines; the folders stay."""
    image, initrd = (path.rpartition("/")[2] for path in (kernel.image, kernel.initrd))
    text = re.sub(rf"(?<=[/\s]){re.escape(old)}(?=\s|$)", image, text)
    if _INITRD.search(text):
        return _INITRD.sub(lambda at: f"{at[1]}{initrd}", text)
    line = re.search(r"^([ \t]*)(?:linux|kernel)[ \t]+((?:\S*/)?)" + re.escape(image), text, re.M)
    return f"{text.rstrip()}\n{line[1]}initrd {line[2]}{initrd}\n" if line else text
