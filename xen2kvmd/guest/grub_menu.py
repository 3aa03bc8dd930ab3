# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for a guest that gets GRUB and has no menu of GRUB's.

Under Xen pygrub read its menu, whatever boot loader that was written for, or the host had its
kernel and there was none. A menu that is there stays in force: GRUB reads it at each start, so the
guest's own tools go on as before.
"""

import re
from collections.abc import Iterator

from xen2kvmd.guest import syslinux
from xen2kvmd.guest.cmdline import GRUB_DEFAULTS, ROOT, add_to_defaults, words_of
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import BootArea, Case, Facts, Finding, Kernel, Severity
from xen2kvmd.rule import rule

# GRUB's commands for the menus of others (its manual, "legacy_configfile"; syslinuxcfg.c).
READERS = {"grub-legacy": "legacy_configfile", "extlinux": "syslinux_configfile"}

_SPECIAL = re.compile(r"([^\w\s=/.,:+@%-])")  # what GRUB's script might read as more than text
SAFE = re.compile(r"[\w=/.,:+@%-]+")  # what a shell between quotes reads as it stands
_LEGACY_ROOT = re.compile(
    r"^([ \t]*(?:root|rootnoverify)[ \t]+|#[ \t]*groot=)\(hd\d+(?:,\d+)?\)", re.M
)
_LEGACY_PATH = re.compile(r"^([ \t]*(?:kernel|initrd|module)[ \t]+)\(hd\d+(?:,\d+)?\)/", re.M)
_READ = """\
# Made by xen2kvm: the guest's menu is {path}, for another boot loader.
{command} {seen}
"""
_HEAD = """\
# The first menu of this guest, made by xen2kvm: under Xen the host had its kernel.
set default=0
set timeout=5
"""
_ENTRY = """
menuentry '{title}' {{
\tlinux {folder}/{image} {arguments}
{initrd}}}
"""


@rule(guide="15.2.3 (6)")
def grub_menu(guest: Tree, case: Case) -> Iterator[Finding]:
    """Give GRUB a menu where it comes to a guest that has none for it.

    One made anew has the Xen host's arguments, and names disks and console as Xen does: it comes
    before the rules that change those. A guest with a tool for that makes its own menu afterwards,
    of its defaults: they get these arguments, too.
    """
    facts = case.facts
    if not facts.gets_grub_menu:
        return
    path = f"{facts.boot_area.folder}/grub.cfg"
    menu = read_menu(guest)
    seen = _seen_by_grub(facts.boot_area, menu.path) if menu else ""
    if menu and seen and menu.kind in READERS:
        if case.joined and menu.kind == "grub-legacy":
            _root_on_partition(guest, menu.path, facts.boot_area)
        if menu.kind == "extlinux" and menu.default:
            syslinux.name_default(guest, menu.path, menu.default.name)
        guest.write(path, _READ.format(path=menu.path, command=READERS[menu.kind], seen=seen))
        yield Finding(
            "menu-read-by-grub",
            f"GRUB starts the guest now, and reads the guest's own menu, {menu.path}.",
            Severity.INFO,
            place=path,
        )
        return
    arguments = _arguments(case)
    entries = "".join(_entry(facts, kernel, arguments) for kernel in facts.kernels if kernel.virtio)
    guest.write(path, _HEAD + entries)
    left = _into_defaults(guest, arguments)
    yield Finding(
        "menu-made",
        "The guest has no boot menu that GRUB can read: it gets one that starts kernel "
        f"{facts.kernels[0].version} with the Xen host's arguments, as KVM names disks and "
        f"console: '{arguments}'.",
        Severity.INFO,
        hint=f"Its next menu is made of {GRUB_DEFAULTS}: put there {left} yourself."
        if left
        else "",
        place=path,
    )


def _root_on_partition(guest: Tree, path: str, area: BootArea) -> None:
    """Name the partition that the volume with the menu is now: pv-grub had it as a disk, (hd0)."""
    if number := re.search(r"\d+", area.device):  # GRUB legacy counts from 0
        here = f"(hd0,{int(number[0]) - 1})"
        text = _LEGACY_ROOT.sub(rf"\g<1>{here}", guest.read(path))
        guest.write(path, _LEGACY_PATH.sub(rf"\g<1>{here}/", text))


def _into_defaults(guest: Tree, arguments: str) -> str:
    """Give the menus that the guest makes these arguments; return those that are too strange."""
    if not guest.is_file(GRUB_DEFAULTS):
        return ""
    given = [word for word in words_of(arguments) if not ROOT.fullmatch(word)]
    add_to_defaults(
        guest, [word for word in given if SAFE.fullmatch(word)], why="From the Xen host"
    )
    return " ".join(word for word in given if not SAFE.fullmatch(word))


def _entry(facts: Facts, kernel: Kernel, arguments: str) -> str:
    folder = _seen_by_grub(facts.boot_area, "/boot/").rstrip("/")
    initrd = _plain(kernel.initrd.rpartition("/")[2])
    title = escaped(f"{facts.product or 'Linux'}, Linux {kernel.version}")
    return _ENTRY.format(
        title=title.replace("'", ""),
        folder=folder,
        image=_plain(kernel.image.rpartition("/")[2]),
        arguments=_plain(arguments),
        initrd=f"\tinitrd {folder}/{initrd}\n" if initrd else "",
    )


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _seen_by_grub(area: BootArea, path: str) -> str:
    """Return a path as it is seen from the root of the file system with /boot, "" if it is not."""
    mounted_at = area.folder.removesuffix(area.prefix)
    return path.removeprefix(mounted_at) if path.startswith(f"{mounted_at}/") else ""


def _arguments(case: Case) -> str:
    """Return what the Xen host gave the kernel, with a root and a console in any case."""
    words = case.cmdline.split()
    if not any(word.startswith("root=") for word in words):
        words = [f"root={case.facts.root}", "ro", *words]
    if not any(word.startswith("console=") for word in words):
        words.append("console=hvc0")
    return " ".join(words)
