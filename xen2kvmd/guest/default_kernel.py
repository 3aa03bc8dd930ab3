# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule for the kernel that starts: one that can use virtio, and no hypervisor."""

import re
from collections.abc import Iterator

from xen2kvmd.guest import grubenv, syslinux
from xen2kvmd.guest.menus import Entry, Menu, image_of, read_menu
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import Case, Finding, Severity
from xen2kvmd.rule import rule

_RECOVERY = re.compile(r"recovery|rescue|failsafe|single", re.IGNORECASE)
SYSCONFIG_KERNEL = "/etc/sysconfig/kernel"
_DEFAULT_PACKAGE = re.compile(r"^(DEFAULTKERNEL=[\"']?)kernel-xen[0U]?(?=[\"']?\s*$)", re.M)
_DEFAULTS = "/etc/default/grub"
_UPDATE_EXTLINUX = "/etc/update-extlinux.conf"  # of Alpine, whose labels are kernels' flavours
# GRUB, and the shell that reads the defaults, would take the others for their own.
_PLAIN = re.compile(r"[^\"'$`\\]+")
_SET = r'^([ \t]*set default=)["\']?(?!\$)(?:[^"\'\n]*[^"\'\s])?[ \t]*(?:["\'][ \t]*)?$'
_GRUB_DEFAULT = r"^([ \t]*GRUB_DEFAULT=)(?!saved).*$"
_LEGACY = r"^([ \t]*default(?:[ \t]+|[ \t]*=[ \t]*))\S+"
_DEFAULT = r"^([ \t]*default[ \t]+)\S+"


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
    starts = image_of(guest, now)
    if not now.hypervisor and starts in usable:
        return
    if not now.hypervisor and starts not in known:
        yield Finding(
            "default-kernel-unknown",
            f"The boot menu starts '{escaped(now.title)}', {escaped(starts)}: no modules of that "
            "kernel were found, and whether it can use virtio is not known.",
            Severity.WARNING,
            hint="If it cannot, make another entry the default: that of kernel "
            f"{kernels[0].version} would do.",
            place=menu.path,
        )
        return
    why = "starts Xen's hypervisor" if now.hypervisor else "has no virtio drivers"
    entry = _wanted(guest, menu, kernels[0].image.rpartition("/")[2])
    if entry is None or not _make_default(guest, menu, entry):
        yield Finding(
            "default-kernel-without-virtio",
            f"The boot menu starts '{escaped(now.title)}', which {why}, and no entry for "
            f"kernel {kernels[0].version} was found that could be made the default.",
            Severity.BLOCKER,
            hint="Make its entry the default in the guest: grub2-set-default (GRUB 2), grubby "
            "--set-default (Red Hat), or default= in /boot/grub/menu.lst.",
            place=menu.path,
        )
        return
    yield Finding(
        "default-kernel-changed",
        f"The boot menu started '{escaped(now.title)}', which {why}; its default is "
        f"'{escaped(entry.title)}' now.",
        Severity.INFO,
        hint="Started under Xen again, the guest uses that kernel, too.",
        place=menu.path,
    )


@rule(guide="15.2.3 (2)")
def default_kernel_package(guest: Tree, case: Case) -> Iterator[Finding]:
    """Let new kernels of Red Hat's become the default that start under KVM, too.

    new-kernel-pkg makes a new kernel the default if its package is DEFAULTKERNEL: kernel-xen there
    would start under Xen only.
    """
    if guest.is_file(SYSCONFIG_KERNEL):
        text = guest.read(SYSCONFIG_KERNEL)
        guest.write(SYSCONFIG_KERNEL, _DEFAULT_PACKAGE.sub(r"\1kernel", text))
    yield from ()


def _wanted(guest: Tree, menu: Menu, kernel: str) -> Entry | None:
    fits = [one for one in menu.entries if image_of(guest, one) == kernel and not one.hypervisor]
    plain = (one for one in fits if not _RECOVERY.search(one.title))
    return next(plain, fits[0] if fits else None)


def _make_default(guest: Tree, menu: Menu, entry: Entry) -> bool:
    """Make an entry the default; tell whether the menu, read again, has it so."""
    if not _PLAIN.fullmatch(entry.name):
        return False
    _say(guest, menu, entry.name)
    now = read_menu(guest)
    return now is not None and now.default is not None and now.default.title == entry.title


def _say(guest: Tree, menu: Menu, name: str) -> None:
    """Say the default where the boot loader reads it, and where its menu is made from."""
    match menu.kind:
        case "bls" | "grub2" if menu.saved:
            _save(guest, menu.saved, name)
        case "bls" | "grub2":
            _put(guest, menu.path, _SET, f'"{name}"', f'set default="{name}"\n')
            if guest.is_file(_DEFAULTS) and "GRUB_DEFAULT=saved" not in guest.read(_DEFAULTS):
                line = f'GRUB_DEFAULT="{name}"\n'
                _put(guest, _DEFAULTS, _GRUB_DEFAULT, f'"{name}"', line)
        case "grub-legacy":
            _put(guest, menu.path, _LEGACY, name, f"default {name}\n")
        case "extlinux":
            syslinux.set_default(guest, menu.path, name)
            if menu.default and guest.is_file(_UPDATE_EXTLINUX):
                old = rf"^(default=){re.escape(menu.default.name)}[ \t]*$"
                _put(guest, _UPDATE_EXTLINUX, old, name, "")
        case "systemd-boot":
            _put(guest, menu.path, _DEFAULT, f"{name}.conf", f"default {name}.conf\n")


def _save(guest: Tree, path: str, name: str) -> None:
    """Set saved_entry in an environment block, if it has room."""
    text = guest.read(path) if guest.is_file(path) else grubenv.EMPTY
    changed = grubenv.with_value(text, "saved_entry", name)
    if changed is not None:
        guest.write(path, changed)


def _put(guest: Tree, path: str, pattern: str, value: str, line: str) -> None:
    """Put the value behind the group of each match; where there is none, put the line first."""
    text, flags = guest.read(path), re.M | re.I
    said = re.sub(pattern, lambda at: f"{at[1]}{value}", text, flags=flags)
    guest.write(path, said if re.search(pattern, text, flags) else line + text)
