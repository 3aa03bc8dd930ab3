# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of syslinux and extlinux: its labels, and the one that starts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, join, normpath

from xen2kvmd.guest.tree import Tree

_INCLUDE = re.compile(r"^\s*(?:menu\s+)?include\s+(\S+)", re.I)
_DEEPEST = 16  # levels of files that include others
_MARK = re.compile(r"^[ \t]*menu[ \t]+default[ \t\r]*(?:\n|\Z)", re.M | re.I)
_DEFAULT = re.compile(r"^([ \t]*(?:default|ontimeout)[ \t]+)(\S[^\n]*?)(?=[ \t\r]*$)", re.M | re.I)
_PROGRAM = re.compile(r"\S+\.(?:c32|com)\b", re.I)  # a menu's, in the place of a label


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
            if _MARK.search(block):
                marked = name
    first, by_time = ("".join(_said(text, key).split()[:1]) for key in ("default", "ontimeout"))
    # The mark is for a menu's program: that of UI, or DEFAULT menu.c32.
    is_menu = bool(not first or _said(text, "ui") or _PROGRAM.match(first))
    return tuple(labels), by_time or (marked if is_menu else "") or first


def set_default(tree: Tree, path: str, name: str) -> None:
    """Make a label the default, in the configuration and in the files that it includes.

    DEFAULT and ONTIMEOUT name it, whatever label or kernel they named, but for DEFAULT where it
    names a menu's program. The mark in an entry counts there, so that it moves to this label's.
    """
    files = {path}
    text = "\n".join(_lines(tree, path, dirname(path), seen=files))
    said = [value for _, value in _DEFAULT.findall(text)]
    marks = bool(_MARK.search(text)) or any(map(_PROGRAM.match, said))
    for file in filter(tree.is_file, sorted(files)):
        changed = _DEFAULT.sub(
            lambda at: at[0] if _PROGRAM.match(at[2]) else f"{at[1]}{name}", tree.read(file)
        )
        if file == path and not said and not marks:
            changed = f"default {name}\n{changed}"
        tree.write(file, _with_mark(changed, name) if marks else changed)


def name_default(tree: Tree, path: str, name: str) -> None:
    """Have DEFAULT name the label that starts, for GRUB, which knows no marks (syslinuxcfg.c)."""
    files = {path}
    said = _said("\n".join(_lines(tree, path, dirname(path), seen=files)), "default")
    for file in filter(tree.is_file, sorted(files)):
        changed = _DEFAULT.sub(lambda at: f"{at[1]}{name}", tree.read(file))
        first = "" if said or file != path else f"default {name}\n"
        tree.write(file, first + changed)


def _with_mark(text: str, name: str) -> str:
    """Mark the entry of a label as the menu's default, and no other."""
    head = re.compile(rf"^[ \t]*label[ \t]+{re.escape(name)}[ \t\r]*\n(?=([ \t]*))", re.M | re.I)
    return head.sub(lambda at: f"{at[0]}{at[1]}MENU DEFAULT\n", _MARK.sub("", text))


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
