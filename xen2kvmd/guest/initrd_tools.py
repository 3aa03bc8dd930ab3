# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tool builds a guest's initrds, and which of its files configure that."""

import re

from xen2kvmd.guest.mkinitcpio import preset
from xen2kvmd.guest.programs import find_program, has
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import Kernel

# In this order: RHEL 6 and SLES 12 have a mkinitrd that calls dracut.
_TOOLS = (
    ("initramfs-tools", "update-initramfs"),
    ("mkinitcpio", "mkinitcpio"),
    ("dracut", "dracut"),
    ("mkinitrd", "mkinitrd"),
    ("mkinitfs", "mkinitfs"),
)
# The package dracut of Debian 14 and Ubuntu 25.10 has an update-initramfs of its own.
_CALLS_DRACUT = re.compile(r"^[ \t]*(?:if[ \t]+)?dracut[ \t]", re.MULTILINE)
_UPDATES = re.compile(r"""^[ \t]*update_initramfs=["']?(\w+)""", re.MULTILINE)
_UPDATE_INITRAMFS = "/etc/initramfs-tools/update-initramfs.conf"
_HOOK = "/etc/initramfs/post-update.d/systemd-boot"  # of Debian
_LAYOUTS = ("/etc/kernel/install.conf", "/usr/lib/kernel/install.conf")
_UKI = re.compile(r"^[ \t]*layout[ \t]*=[ \t]*uki[ \t]*$", re.MULTILINE)


def initrd_tool(tree: Tree) -> str:
    """Return the tool that builds the initrds of a guest's next kernels, "" for none known."""
    found = (name for name, tool in _TOOLS if has(tree, tool) and not _is_other(tree, name))
    return next(found, "")


def updates_initrds(tree: Tree) -> bool:
    """Tell whether update-initramfs does anything: it may be told not to (update_initramfs=no)."""
    text = tree.read(_UPDATE_INITRAMFS) if tree.is_file(_UPDATE_INITRAMFS) else ""
    return _UPDATES.findall(text)[-1:] != ["no"]


def makes_unified(tree: Tree) -> bool:
    """Tell whether update-initramfs calls kernel-install(8), and that makes unified images."""
    path = next(filter(tree.is_file, _LAYOUTS), "")
    layout = bool(path) and bool(_UKI.search(tree.read(path)))
    return layout and tree.exists(_HOOK) and updates_initrds(tree)


def builder(tree: Tree, tool: str, kernel: Kernel) -> str:
    """Return the tool that builds a kernel's initrd anew, "" for none.

    A unified image of others than mkinitcpio's presets is put together by kernel-install's plugins
    or by hand, signed often: it stays.
    """
    return (
        ""
        if kernel.is_unified and not (tool == "mkinitcpio" and preset(tree, kernel.initrd))
        else tool
    )


def _is_other(tree: Tree, name: str) -> bool:
    """Tell whether a program of initramfs-tools' name is dracut's."""
    path = find_program(tree, "update-initramfs") if name == "initramfs-tools" else ""
    calls = bool(path) and tree.is_file(path) and _CALLS_DRACUT.search(tree.read(path))
    return bool(calls) and has(tree, "dracut")
