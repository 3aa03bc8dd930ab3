# SPDX-License-Identifier: GPL-2.0-or-later
"""A rehearsal: rules change a copy in memory, and what they did becomes the plan.

The guest's files are read where a rule looks at them and never written. A program is not run: what
it would change, no later rule can see, so rules that run programs come last.
"""

import fnmatch
from collections.abc import Sequence

from xen2kvmd.errors import Unsupported
from xen2kvmd.guest.operations import (
    Attempt,
    Copy,
    Divide,
    Install,
    Link,
    Operation,
    Remove,
    Run,
    Write,
)
from xen2kvmd.guest.search import SEARCH, Found, found_in
from xen2kvmd.guest.tree import BootCode, Room, Tree
from xen2kvmd.model import Finding

Entry = Write | Link | Copy | Remove


class Rehearsal:
    """A Tree over another one that keeps every change to itself, and lists them in order."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._now: dict[str, Entry] = {}
        self.operations: list[Operation] = []

    def exists(self, path: str) -> bool:
        changed = self._now.get(path)
        if changed:
            return not isinstance(changed, Remove)
        return self._tree.exists(path)

    def is_file(self, path: str) -> bool:
        changed = self._now.get(path)
        if isinstance(changed, Link):
            return changed.target.startswith("/") and self.is_file(changed.target)
        return isinstance(changed, Write | Copy) if changed else self._tree.is_file(path)

    def read(self, path: str) -> str:
        changed = self._now.get(path)
        if changed is None:
            return self._tree.read(path)
        if not isinstance(changed, Write):
            raise Unsupported(f"{path} of the guest is not a regular file any more.")
        return changed.text

    def head(self, path: str, size: int) -> bytes:
        changed = self._now.get(path)
        if isinstance(changed, Write):
            return changed.text.encode("utf-8", "surrogateescape")[:size]
        return self._tree.head(changed.source if isinstance(changed, Copy) else path, size)

    def read_link(self, path: str) -> str:
        changed = self._now.get(path)
        if changed is None:
            return self._tree.read_link(path)
        return changed.target if isinstance(changed, Link) else ""

    def write(self, path: str, text: str) -> None:
        if self.exists(path) and not self.is_file(path):
            raise Unsupported(f"{path} of the guest is not a regular file.")
        if not self.exists(path) or self.read(path) != text:
            self._do(Write(path, text))

    def remove(self, path: str) -> None:
        if self.exists(path):
            self._do(Remove(path))

    def link(self, path: str, target: str) -> None:
        if self.read_link(path) != target:
            self._do(Link(path, target))

    def copy(self, source: str, path: str) -> None:
        self._do(Copy(path, source))

    def size(self, path: str) -> int:
        changed = self._now.get(path)
        if isinstance(changed, Write):
            return len(changed.text.encode("utf-8", "surrogateescape"))
        return self._tree.size(changed.source if isinstance(changed, Copy) else path)

    def room(self, path: str) -> Room | None:
        return self._tree.room(path)

    def glob(self, pattern: str) -> tuple[str, ...]:
        kept = (path for path in self._tree.glob(pattern) if path not in self._now)
        made = (path for path in self._now if self.exists(path) and matches(path, pattern))
        return tuple(sorted({*kept, *made}))

    def search(self, folder: str, words: Sequence[str]) -> tuple[Found, ...]:
        found = [one for one in self._tree.search(folder, words) if one.path not in self._now]
        for path, changed in self._now.items():
            if isinstance(changed, Write) and path.startswith(f"{folder}/"):
                found += found_in(path, changed.text, words)
        return tuple(sorted(found)[: SEARCH.lines])

    def run(self, *command: str) -> None:
        self.operations.append(Run(command))

    def attempt(
        self, *command: str, failing: Finding, code: BootCode | None = None
    ) -> tuple[Finding, ...]:
        self.operations.append(Attempt(command, failing, code))
        return ()

    def divide(self, disk: str, start: int, sectors: int) -> None:
        self.operations.append(Divide(disk, start, sectors))

    def install(self, code: BootCode) -> None:
        self.operations.append(Install(code))

    def before(self, path: str, change: Entry, *, since: int) -> list[str] | None:
        """Return the lines that stood at path when `since` operations were recorded.

        A file that is written through a link shows the file, one that is removed the link.
        """
        earlier = [step for step in self.operations[:since] if isinstance(step, Entry)]
        for step in reversed(earlier):
            if step.path == path:
                return shown(step)
        if not self._tree.exists(path):
            return None
        target = "" if isinstance(change, Write) else self._tree.read_link(path)
        return shown(Link(path, target) if target else Write(path, self._tree.read(path)))

    def _do(self, step: Entry) -> None:
        self._now[step.path] = step
        self.operations.append(step)


def shown(step: Entry) -> list[str] | None:
    """Return the lines that a diff shows of what an operation makes, or None for nothing."""
    match step:
        case Write(text=text):
            return text.splitlines(keepends=True)
        case Link(target=target):
            return [f"(link to {target})\n"]
        case Copy(source=source):
            return [f"(copy of {source})\n"]
        case Remove():
            return None


def matches(path: str, pattern: str) -> bool:
    """Tell whether a path matches a shell pattern, in which * stops at a slash."""
    parts, patterns = path.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))
