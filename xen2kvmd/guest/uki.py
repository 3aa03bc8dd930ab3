# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified kernel images: kernel, initrd and arguments in one program for UEFI (systemd-stub(7))."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xen2kvmd.guest.tree import Tree

_LINUX = "[Ee][Ff][Ii]/[Ll][Ii][Nn][Uu][Xx]"
IMAGES = tuple(f"{place}/{_LINUX}/*.[Ee][Ff][Ii]" for place in ("/boot/efi", "/efi", "/boot"))
HEAD = 1 << 20  # bytes that are read: texts lie before kernel and initrd
_MOST = 96  # sections that the format allows Windows, and more than any has
_TEXT = 16384  # bytes of a section with text


@dataclass(frozen=True)
class Uki:
    """An image: the kernel's version, "" where it is not said, and what the kernel is told.

    arguments are the image's own and those of its addons, in their order.
    """

    path: str
    version: str
    arguments: str


def unified_images(tree: Tree) -> Iterator[Uki]:
    """Yield the images on the EFI system partition, where it is mounted."""
    for path in (found for pattern in IMAGES for found in tree.glob(pattern)):
        sections = _sections(tree, path)
        if ".linux" in sections:
            addons = tree.glob(f"{path}.extra.d/*.addon.efi")
            told = (sections, *(_sections(tree, addon) for addon in addons))
            arguments = " ".join(filter(None, (one.get(".cmdline", "") for one in told)))
            yield Uki(path, sections.get(".uname", ""), arguments)


def initrd_section(tree: Tree, path: str) -> tuple[int, int] | None:
    """Return where an image's initrd begins, and its bytes; None for what has none."""
    data = tree.head(path, HEAD) if tree.is_file(path) else b""
    found = (place for name, *place in _table(data) if name == ".initrd")
    offset, size = next(found, (0, 0))
    return (offset, size) if size else None


def _sections(tree: Tree, path: str) -> Mapping[str, str]:
    """Return the text of each section of a program, the first of a name."""
    data = tree.head(path, HEAD) if tree.is_file(path) else b""
    found: dict[str, str] = {}
    for name, offset, size in _table(data):
        text = data[offset : offset + min(size, _TEXT)].partition(b"\0")[0]
        found.setdefault(name, " ".join(text.decode("utf-8", "surrogateescape").split()))
    return found


def _table(data: bytes) -> Sequence[tuple[str, int, int]]:
    """Return name, offset and size of each section of a program of Windows' format (PE)."""
    found = []
    try:
        (start,) = struct.unpack_from("<I", data, 0x3C)
        if data[:2] != b"MZ" or data[start : start + 4] != b"PE\0\0":
            return ()
        count, optional = (struct.unpack_from("<H", data, start + at)[0] for at in (6, 20))
        for number in range(min(count, _MOST)):
            at = start + 24 + optional + 40 * number
            name, size, _, _, offset = struct.unpack_from("<8sIIII", data, at)
            found.append((name.rstrip(b"\0").decode("latin-1"), offset, size))
    except struct.error:  # it ends before that
        return ()
    return found
