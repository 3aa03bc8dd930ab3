# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of syslinux and extlinux: its labels, and the one that starts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, join, normpath

from xen2kvmd.guest.tree import Tree

_INCLUDE = re.compile(r"^\s*(?:menu\s+)?include\s+(\S+)", re.I)
_DEEPEST = 16  # levels of files that include others


@dataclass(frozen=True)
class Label:
    """What starts a kernel: its name, the path of the kernel, and the arguments of that."""

    name: str
    kernel: str
    arguments: str


def read_labels(tree: Tree, path: str) -> tuple[tuple[Label, ...], str]:
    """Return the labels that start kernels, in their order, and the name of the default."""
    text = "\n".join(_lines(tree, path, dirname(path), seen={path}))
    labels = []
    marked = ""
    for block in re.split(r"^[ \t]*label[ \t]+", text, flags=re.M | re.I)[1:]:
        if kernel := _said(block, "(?:kernel|linux)"):
            name = block.partition("\n")[0].strip()
            labels.append(Label(name, kernel.split()[0], _said(block, "append")))
            if re.search(r"^[ \t]*menu[ \t]+default[ \t]*$", block, re.M | re.I):
                marked = name
    first, by_time = ("".join(_said(text, key).split()[:1]) for key in ("default", "ontimeout"))
    # The mark is for a menu's program: that of UI, or DEFAULT menu.c32.
    is_menu = bool(_said(text, "ui")) or first not in [label.name for label in labels]
    return tuple(labels), by_time or (marked if is_menu else "") or first


def _said(text: str, key: str) -> str:
    """Return what follows a keyword where it first stands, "" where it does not."""
    found = re.search(rf"^[ \t]*{key}[ \t]+(\S.*)", text, re.M | re.I)
    return found[1] if found else ""


def _lines(tree: Tree, path: str, folder: str, *, seen: set[str], depth: int = 0) -> Iterator[str]:
    """Yield a file's lines, and in their places those of files in the folder that it includes."""
    for line in tree.read(path).splitlines():
        found = _INCLUDE.match(line)
        more = normpath(join(folder, found[1])) if found else ""
        if not more:
            yield line
        elif more.startswith(join(folder, "")) and more not in seen and depth < _DEEPEST:
            seen.add(more)
            if tree.is_file(more):
                yield from _lines(tree, more, folder, seen=seen, depth=depth + 1)
