# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries of the Boot Loader Specification: a file for each, which GRUB and systemd-boot read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xen2kvmd.guest.tree import Tree

ENTRIES = "/loader/entries/"
BLS = tuple(f"{place}{ENTRIES}*.conf" for place in ("/boot", "/boot/efi", "/efi"))


@dataclass(frozen=True)
class BlsEntry:
    """An entry; linux and initrds are paths as the boot loader sees them."""

    path: str
    title: str
    version: str
    linux: str
    initrds: tuple[str, ...]
    options: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(".conf")

    def file(self, tree: Tree, path: str) -> str:
        """Return where the guest has a file of this entry's, "" where it has none.

        The loader begins at the root of the file system with the entries, which may be the guest's.
        """
        beside = self.path.partition(ENTRIES)[0]
        return next((at for at in (f"{beside}{path}", path) if tree.is_file(at)), "")


def bls_entries(tree: Tree) -> Iterator[BlsEntry]:
    """Yield the entries that start a Linux in GRUB's order, the newest version first."""
    found = [path for pattern in BLS for path in tree.glob(pattern) if tree.is_file(path)]
    for path in sorted(found, key=_version, reverse=True):
        keys: dict[str, list[str]] = {}
        for line in tree.read(path).splitlines():
            key, *value = line.split(None, 1)[:2] or ("",)
            keys.setdefault(key, []).append("".join(value).strip())
        first = {key: values[0] for key, values in keys.items()}
        if linux := _absolute(first.get("linux", "")):
            words = " ".join(keys.get("initrd", [])).split()
            yield BlsEntry(
                path,
                title=first.get("title", ""),
                version=first.get("version", ""),
                linux=linux,
                initrds=tuple(_absolute(word) for word in words if not word.startswith("$")),
                options=" ".join(keys.get("options", [])),
            )


def _absolute(path: str) -> str:
    return f"/{path.lstrip('/')}" if path else ""


def _version(path: str) -> list[tuple[int, int | str]]:
    """Sort as rpm does, nearly: numbers as numbers, above words; a rescue entry comes last."""
    name = path.rpartition("/")[2].partition("-")[2]  # without the machine's id
    words: list[tuple[int, int | str]] = [
        (1, int(word)) if word.isdigit() else (0, word) for word in re.findall(r"\d+|[a-z]+", name)
    ]
    return words if "rescue" not in name else []
