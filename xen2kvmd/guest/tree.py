# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's files as a rule sees them, whatever is behind: a folder, an appliance, a rehearsal.

Paths are the guest's own, absolute. Links are followed inside the guest's root and never out of it.
"""

from typing import Protocol


class Tree(Protocol):
    """A guest's file system."""

    def exists(self, path: str) -> bool:
        """Tell whether there is anything at path, a dangling link included."""

    def is_file(self, path: str) -> bool:
        """Tell whether path is a regular file, or a link to one."""

    def read(self, path: str) -> str:
        """Return a file's text; bytes that are not UTF-8 survive a write as surrogates.

        Raises Unsupported if it is no regular file, or larger than 1 MiB.
        """

    def write(self, path: str, text: str) -> None:
        """Replace a file's content, or make it with mode 0644; owner, mode and label stay."""

    def remove(self, path: str) -> None:
        """Remove a file or link; nothing happens if there is none."""

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link at path, in place of what is there."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match a shell pattern, sorted."""

    def run(self, *command: str) -> None:
        """Run a program of the guest in the guest, with a time limit and without network.

        Raises Failed with the end of its output if it fails.
        """
