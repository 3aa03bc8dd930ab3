# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's files as a rule sees them, whatever is behind: a folder, an appliance, a rehearsal.

Paths are the guest's own, absolute. Links are followed inside the guest's root and never out of it.
A guest may be hostile: what is no regular file, or is too large to be a configuration file, is
refused by a named error instead of being read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from xen2kvmd.guest.search import Found
from xen2kvmd.model import Finding

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LARGEST = 1 << 20  # bytes; no configuration file that a rule reads comes near


@dataclass(frozen=True)
class BootCode:
    """What a BIOS starts: GRUB's first sector, its core, and the modules that this one loads.

    disk is the <target dev> of the disk, sector where core begins. modules is a folder of this
    host, copied to the guest's folder `into`, because GRUB loads only modules of its own build.
    """

    disk: str
    boot: bytes = field(repr=False)
    core: bytes = field(repr=False)
    sector: int
    modules: str
    into: str


@dataclass(frozen=True)
class Room:
    """What root has free on a file system: bytes, and files, or None where they have no limit.

    system is its number, the same for all folders on it.
    """

    size: int
    files: int | None
    system: int = 0


def escaped(text: str) -> str:
    """Return a text of the guest's as it may be shown: control characters by their codes.

    They could rewrite what a terminal shows of a plan, and D-Bus refuses NUL and broken UTF-8.
    """
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", shown)


class Tree(Protocol):
    """A guest's file system, and the place for boot code on its disk."""

    def exists(self, path: str) -> bool:
        """Tell whether there is anything at path, a dangling link included."""

    def is_file(self, path: str) -> bool:
        """Tell whether path is a regular file, or a link to one."""

    def read(self, path: str) -> str:
        """Return a file's text; bytes that are not UTF-8 survive a write as surrogates.

        Raises Unsupported if it is no regular file, or larger than 1 MiB.
        """

    def head(self, path: str, size: int) -> bytes:
        """Return so many bytes, or all there are, of a regular file, however large it is."""

    def read_link(self, path: str) -> str:
        """Return where a symbolic link points, or "" where there is none."""

    def write(self, path: str, text: str) -> None:
        """Replace a file's content, or make it with mode 0644; owner, mode and label stay.

        Raises Unsupported if something else than a regular file is in the way.
        """

    def remove(self, path: str) -> None:
        """Remove a file or link; nothing happens if there is none."""

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link at path, in place of what is there."""

    def copy(self, source: str, path: str) -> None:
        """Copy a regular file, whatever is in it, to a path where nothing is."""

    def size(self, path: str) -> int:
        """Return the bytes in a regular file, or 0 where there is none."""

    def room(self, path: str) -> Room | None:
        """Return what is free where a path lies, or None where there is no such path."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match a shell pattern, sorted."""

    def search(self, folder: str, words: Sequence[str]) -> tuple[Found, ...]:
        """Return the lines with one of these words, in the text files below a folder, sorted.

        No more than SEARCH says. No link is followed, and odd names (a colon, not ASCII) are left.
        """

    def run(self, *command: str) -> None:
        """Run a program of the guest in the guest, with a time limit and without network.

        Raises Failed with the end of its output if it fails.
        """

    def attempt(
        self, *command: str, failing: Finding, code: BootCode | None = None
    ) -> tuple[Finding, ...]:
        """Run a program of the guest that may fail; return the finding if it does, with its output.

        Then the boot code, if there is any, is installed in place of what it should have done.
        """

    def divide(self, disk: str, start: int, sectors: int) -> None:
        """Make a BIOS boot partition on a disk with GPT, by its <target dev>."""

    def install(self, code: BootCode) -> None:
        """Write boot code to the disk and GRUB's modules beside its menu."""
