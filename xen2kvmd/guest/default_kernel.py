# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for the kernel that starts: one that can use virtio, and no hypervisor."""

import re
from collections.abc import Iterator

from xen2kvmd.guest import grubenv
from xen2kvmd.guest.menus import Entry, Menu, read_menu
from xen2kvmd.guest.tree import Tree, printable
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_RECOVERY = re.compile(r"recovery|rescue|failsafe|single", re.IGNORECASE)
_DEFAULTS = "/etc/default/grub"


@rule(guide="15.2.3 (2)")
def default_kernel(guest: Tree, case: Case) -> Iterator[Finding]:
    """Make a kernel with virtio drivers the boot menu's default, where it is not.

    The entry is named as the boot loader's own tools would do it: grub2-set-default, grubby,
    GRUB_DEFAULT. Entries that start Xen's hypervisor stay in the menu.
    """
    kernels = case.facts.kernels
    menu = read_menu(guest)
    if not kernels or not kernels[0].virtio or menu is None or menu.default is None:
        return
    usable = {kernel.image.rpartition("/")[2] for kernel in kernels if kernel.virtio}
    known = {kernel.image.rpartition("/")[2] for kernel in kernels}
    now = menu.default
    if not now.hypervisor and (now.kernel in usable or now.kernel not in known):
        return  # right, or one that we know nothing of: a link, a kernel without modules
    why = "starts Xen's hypervisor" if now.hypervisor else "has no virtio drivers"
    entry = _wanted(menu, kernels[0].image.rpartition("/")[2])
    if entry is None or not _set(guest, menu, entry):
        yield Finding(
            "default-kernel-without-virtio",
            f"The boot menu starts '{printable(now.title)}', which {why}, and no entry for "
            f"kernel {kernels[0].version} was found that could be made the default.",
            Severity.BLOCKER,
            hint="Make its entry the default in the guest: grub2-set-default (GRUB 2), grubby "
            "--set-default (Red Hat), or default= in /boot/grub/menu.lst.",
            place=menu.path,
        )
        return
    yield Finding(
        "default-kernel-changed",
        f"The boot menu started '{printable(now.title)}', which {why}; its default is "
        f"'{printable(entry.title)}' now.",
        Severity.INFO,
        hint="Started under Xen again, the guest uses that kernel, too.",
        place=menu.path,
    )


def _wanted(menu: Menu, kernel: str) -> Entry | None:
    fits = [one for one in menu.entries if one.kernel == kernel and not one.hypervisor]
    plain = (one for one in fits if not _RECOVERY.search(one.title))
    return next(plain, fits[0] if fits else None)


def _set(guest: Tree, menu: Menu, entry: Entry) -> bool:
    """Make an entry the default; tell whether it could be said."""
    match menu.kind:
        case "bls":
            return _save(guest, menu.saved, entry)
        case "grub2":
            if menu.saved:
                return _save(guest, menu.saved, entry)
            _replace(guest, menu.path, r'^(\s*set default=)["\']?(?!\$)[^"\'\n]*["\']?\s*$', entry)
            _say_in_defaults(guest, entry)
        case "grub-legacy":
            _put(guest, menu.path, r"^([ \t]*default)(?:[ \t]+|[ \t]*=[ \t]*)\S+", entry)
        case "extlinux":
            _put(guest, menu.path, r"^([ \t]*default)[ \t]+\S+", entry)
        case "systemd-boot":
            _put(guest, menu.path, r"^(default)\s+\S+", entry, end=".conf")
    return True


def _save(guest: Tree, path: str, entry: Entry) -> bool:
    text = guest.read(path) if guest.is_file(path) else grubenv.EMPTY
    changed = grubenv.with_value(text, "saved_entry", entry.name)
    if changed is None:
        return False
    guest.write(path, changed)
    return True


def _replace(guest: Tree, path: str, pattern: str, entry: Entry) -> None:
    if guest.is_file(path):
        text = re.sub(pattern, lambda at: f'{at[1]}"{entry.name}"', guest.read(path), flags=re.M)
        guest.write(path, text)


def _say_in_defaults(guest: Tree, entry: Entry) -> None:
    """Say it where the menu is made from, too; who has GRUB_DEFAULT=saved says it elsewhere."""
    if guest.is_file(_DEFAULTS):
        text = guest.read(_DEFAULTS)
        if not re.search(r"^\s*GRUB_DEFAULT=", text, re.M):
            guest.write(_DEFAULTS, text.rstrip("\n") + f'\nGRUB_DEFAULT="{entry.name}"\n')
    _replace(guest, _DEFAULTS, r"^(\s*GRUB_DEFAULT=)(?!saved).*$", entry)


def _put(guest: Tree, path: str, pattern: str, entry: Entry, *, end: str = "") -> None:
    """Say the default where it is said, or before all else."""
    text, flags = guest.read(path), re.M | re.I
    said = re.search(pattern, text, flags)
    separator = "=" if said and "=" in said[0] else " "
    if said:
        text = text[: said.start()] + f"{said[1]}{separator}{entry.name}{end}" + text[said.end() :]
    else:
        text = f"default {entry.name}{end}\n{text}"
    guest.write(path, text)
