# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a guest has its programs."""

from xen2kvmd.guest.tree import Tree

FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")


def find_program(tree: Tree, name: str) -> str:
    """Return the path of a program of the guest, or "" if it has none of that name."""
    return next((f"{at}/{name}" for at in FOLDERS if tree.exists(f"{at}/{name}")), "")


def has(tree: Tree, name: str) -> bool:
    """Tell whether the guest has a program of that name."""
    return bool(find_program(tree, name))
