# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot menus: their entries, and the one that starts by default.

A Menu is one way in which a guest says that, with the text that says it. Only what GRUB, extlinux
and systemd-boot themselves do with these files counts, and what they do without scripts: a menu
that decides by conditions of its own is read as if all of them were met.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch

from xen2kvmd.errors import Unsupported
from xen2kvmd.guest import grubenv, syslinux
from xen2kvmd.guest.bls import bls_entries
from xen2kvmd.guest.tree import Tree

GRUB2 = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/*/grub.cfg")
LEGACY = ("/boot/grub/menu.lst", "/boot/grub/grub.conf")
LOADER = tuple(f"{place}/loader/loader.conf" for place in ("/boot", "/boot/efi", "/efi"))
EXTLINUX = (
    "/boot/extlinux/extlinux.conf",
    "/boot/extlinux.conf",  # of Alpine
    "/boot/syslinux/syslinux.cfg",
    "/extlinux.conf",
)

_ITEM = re.compile(r"""^\s*(menuentry|submenu)\s+(['"])(?P<title>.*?)\2(?P<rest>.*)\{\s*$""")
_ID = re.compile(r"""(?:\$\{?menuentry_id_option\}?|--id)\s+['"]?(?P<id>[^'"\s]+)""")
_LINUX = re.compile(r"^\s*(?:linux|linux16|linuxefi|kernel)\s+(\S+)(.*)")
_MODULE = re.compile(r"^\s*module2?\s+(\S+)(.*)")
_ROOT = re.compile(r"(?:^|\s)root=(\S+)")
_IMAGE = re.compile(r"^\s*(?:multiboot2?|kernel|xen_hypervisor)\s+(\S+)")
_SET = re.compile(
    r"""^[ \t]*set default=["']?(?P<value>(?:[^"'\n]*[^"'\s])?)[ \t]*(?:["'][ \t]*)?$""", re.M
)
_SAVED = "${saved_entry}"
LONGEST, DEEPEST = 8192, 16  # characters of a line, levels of submenus and conditions


@dataclass(frozen=True)
class Entry:
    """An entry of a menu. name is how the menu's default names it, kernel its image without path.

    One that starts the hypervisor has as kernel what runs on top of that, and is not one for KVM.
    arguments are the kernel's; path is where the boot loader finds it, in the entries of BLS.
    """

    name: str
    kernel: str
    title: str
    hypervisor: bool = False
    arguments: str = ""
    path: str = ""

    @property
    def root(self) -> str:
        """The root that the kernel mounts, the last of several, "" where none is named."""
        return next(reversed(_ROOT.findall(self.arguments)), "")


@dataclass(frozen=True)
class Menu:
    """The entries of a guest's menu in order, and which one is the default (None: not known)."""

    kind: str  # grub2, bls, grub-legacy, extlinux, systemd-boot
    path: str
    entries: tuple[Entry, ...]
    default: Entry | None
    saved: str = ""  # path of the environment block that names the default, if it does


def read_menu(tree: Tree) -> Menu | None:
    """Return the menu that starts the guest, or None if it has none that is known."""
    for read in (_grub2, _legacy, _extlinux, _systemd_boot):
        if menu := read(tree):
            return menu
    return None


def readable_menu(tree: Tree) -> Menu | None:
    """Return the menu as read_menu, and None where it cannot be read, too.

    The inspection goes on without it: the rules that need it say which file is at fault.
    """
    try:
        return read_menu(tree)
    except Unsupported:
        return None


def image_of(tree: Tree, entry: Entry) -> str:
    """Return the file that an entry's kernel is: /boot/vmlinuz-xen and /vmlinuz are links."""
    for path in (f"/boot/{entry.kernel}", f"/{entry.kernel}"):
        if target := tree.read_link(path):
            return target.rpartition("/")[2]
    return entry.kernel


def _number(said: str) -> int | None:
    """Return the number of an entry, None for what is a name, or more than any menu has."""
    return int(said) if re.fullmatch("[0-9]{1,9}", said) else None


def _first(tree: Tree, patterns: tuple[str, ...]) -> str:
    found = (path for pattern in patterns for path in tree.glob(pattern) if tree.is_file(path))
    return next(found, "")


# --- GRUB 2 ---------------------------------------------------------------------------------------


@dataclass
class _Item:
    """A menuentry or submenu while it is read."""

    title: str
    id: str
    items: "list[_Item] | None"
    kernel: str = ""
    hypervisor: bool = False
    arguments: str = ""


def _grub2(tree: Tree) -> Menu | None:
    # That of an ESP often only names the real one: it comes last.
    for pattern in GRUB2:
        for path in tree.glob(pattern):
            text = tree.read(path) if tree.is_file(path) else ""
            items = _items(text)
            env = _env_beside(tree, path)
            said = _said_default(text)
            saved = grubenv.value(tree.read(env), "saved_entry") if tree.is_file(env) else ""
            name, kept = (saved, env) if said == _SAVED else (said, "")
            if "blscfg" in text and (entries := tuple(_bls(tree))):
                default = _with_kernelopts(tree, _chosen(entries, name), env)
                return Menu("bls", path, entries, default, kept)
            entries = tuple(_flat(items, "", top=True))
            if entries:
                return Menu("grub2", path, entries, _resolve(items, name), kept)
    return None


def _chosen(entries: tuple[Entry, ...], said: str) -> Entry:
    """Return the entry that a default names, by its file, its title or its number."""
    number = _number(said)
    if number is not None and number < len(entries):
        return entries[number]
    return next((one for one in entries if said in (one.name, one.title)), entries[0])


def _with_kernelopts(tree: Tree, entry: Entry, env: str) -> Entry:
    """Give an entry the arguments that it has in the environment block (RHEL 8)."""
    options = grubenv.value(tree.read(env), "kernelopts") if tree.is_file(env) else ""
    return replace(entry, arguments=entry.arguments.replace("$kernelopts", options))


def _env_beside(tree: Tree, path: str) -> str:
    """Return the environment block that a grub.cfg loads: it may be linked to another folder."""
    beside = path.replace("grub.cfg", "grubenv")
    return beside if tree.is_file(beside) else _first(tree, grubenv.PATHS) or beside


def _said_default(text: str) -> str:
    """Return what the menu sets its default to, if nothing else was asked for once."""
    said = [found["value"] for found in _SET.finditer(text)]
    return next((value for value in said if value != "${next_entry}"), "0")


def _items(text: str) -> list[_Item]:
    top: list[_Item] = []
    stack: list[_Item | None] = []
    for line in text.splitlines():
        if len(line) > LONGEST or len(stack) >= DEEPEST:
            return top  # no menu of a living guest
        opens = line.rstrip().endswith("{")
        if opens and (found := _ITEM.match(line)):
            number = _ID.search(found["rest"])
            item = _Item(found["title"], number["id"] if number else "", None)
            if found[1] == "submenu":
                item.items = []
            parent = next((one for one in reversed(stack) if one is not None), None)
            (top if parent is None or parent.items is None else parent.items).append(item)
            stack.append(item)
        elif opens:
            stack.append(None)
        elif line.strip() == "}" and stack:
            stack.pop()
        elif stack and (item_now := stack[-1]) is not None:
            _take_line(item_now, line)
    return top


def _take_line(item: _Item, line: str) -> None:
    if _is_hypervisor(line):
        item.hypervisor = True
    elif (found := _LINUX.match(line) or _MODULE.match(line)) and not item.kernel:
        item.kernel = found[1].rpartition("/")[2]
        item.arguments = found[2].strip()


def _is_hypervisor(line: str) -> bool:
    """Tell whether a line starts Xen: /xen.gz, /boot/xen-4.14-amd64.gz."""
    image = _IMAGE.match(line)
    return image is not None and ".gz" in image[1].partition("xen")[2]


def _flat(items: list[_Item], parent: str, *, top: bool) -> Iterator[Entry]:
    """Yield the entries, each by the path of ids, titles or numbers that names it."""
    for number, item in enumerate(items):
        own = item.id or (item.title if ">" not in item.title else str(number))
        name = own if top else f"{parent}>{own}"
        if item.items is not None:
            yield from _flat(item.items, name, top=False)
        elif item.kernel:
            yield Entry(name, item.kernel, item.title, item.hypervisor, item.arguments)


def _resolve(items: list[_Item], said: str) -> Entry | None:
    """Return the entry that a default names; GRUB takes the first where it finds none."""
    found: _Item | None = None
    for word in said.split(">") if said else ["0"]:
        level = items if found is None else found.items or []
        number = _number(word)
        numbered = level[number] if number is not None and number < len(level) else None
        named = (one for one in level if word in (one.id, one.title))
        found = numbered or next(named, None)
        if found is None:
            found = items[0] if items else None
            break
    while found is not None and found.items:
        found = found.items[0]
    if found is None:
        return None
    return Entry("", found.kernel, found.title, found.hypervisor, found.arguments)


# --- the others -----------------------------------------------------------------------------------


def _bls(tree: Tree) -> Iterator[Entry]:
    for one in bls_entries(tree):
        kernel = one.linux.rpartition("/")[2]
        title = one.title or one.name
        yield Entry(one.name, kernel, title, arguments=one.options, path=one.linux)


def _legacy(tree: Tree) -> Menu | None:
    path = _first(tree, LEGACY)
    if not path:
        return None
    text = tree.read(path)
    entries: list[Entry] = []
    for block in re.split(r"^[ \t]*title[ \t]+", text, flags=re.M)[1:]:
        item = _Item(block.partition("\n")[0].strip(), "", None)
        for line in block.splitlines()[1:]:
            _take_line(item, line)
        number = str(len(entries))
        entries.append(Entry(number, item.kernel, item.title, item.hypervisor, item.arguments))
    said = re.search(r"^[ \t]*default(?:[ \t]+|[ \t]*=[ \t]*)(\S+)", text, re.M)
    number = said[1] if said else "0"
    if number == "saved":
        kept = "/boot/grub/default"
        number = tree.read(kept).split("\n")[0].strip() if tree.is_file(kept) else "0"
    default = next((one for one in entries if one.name == number), None)
    return Menu("grub-legacy", path, tuple(entries), default) if entries else None


def _extlinux(tree: Tree) -> Menu | None:
    path = _first(tree, EXTLINUX)
    if not path:
        return None
    labels, name = syslinux.read_labels(tree, path)
    entries = tuple(
        Entry(one.name, one.kernel.rpartition("/")[2], one.name, arguments=one.arguments)
        for one in labels
    )
    default = next((one for one in entries if one.name == name), entries[0] if entries else None)
    return Menu("extlinux", path, entries, default) if entries else None


def _systemd_boot(tree: Tree) -> Menu | None:
    path = _first(tree, LOADER)
    entries = tuple(_bls(tree))
    if not path or not entries:
        return None
    said = re.search(r"^default\s+(\S+)", tree.read(path), re.M)
    pattern = said[1] if said else "*"
    fits = (one for one in entries if fnmatch(f"{one.name}.conf", pattern) or one.name == pattern)
    return Menu("systemd-boot", path, entries, next(fits, entries[0]))
