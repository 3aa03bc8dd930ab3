# SPDX-License-Identifier: GPL-2.0-or-later
"""What a rehearsal records, and the conversion then does: nothing else is ever done to a guest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xen2kvmd.guest.tree import BootCode, Tree
from xen2kvmd.model import Finding


@dataclass(frozen=True)
class Write:
    """Give a file this text."""

    path: str
    text: str
    weight = 1

    @property
    def shown(self) -> str:
        return self.path

    def perform(self, tree: Tree) -> None:
        tree.write(self.path, self.text)


@dataclass(frozen=True)
class Remove:
    """Remove a file or link."""

    path: str
    weight = 1

    @property
    def shown(self) -> str:
        return self.path

    def perform(self, tree: Tree) -> None:
        tree.remove(self.path)


@dataclass(frozen=True)
class Link:
    """Make a symbolic link."""

    path: str
    target: str
    weight = 1

    @property
    def shown(self) -> str:
        return self.path

    def perform(self, tree: Tree) -> None:
        tree.link(self.path, self.target)


@dataclass(frozen=True)
class Copy:
    """Copy a file."""

    path: str
    source: str
    weight = 2

    @property
    def shown(self) -> str:
        return self.path

    def perform(self, tree: Tree) -> None:
        tree.copy(self.source, self.path)


@dataclass(frozen=True)
class Run:
    """Run a program of the guest."""

    command: tuple[str, ...]
    weight = 100  # an initrd takes most of a conversion's time

    @property
    def shown(self) -> str:
        return " ".join(self.command)

    def perform(self, tree: Tree) -> None:
        tree.run(*self.command)


@dataclass(frozen=True)
class Attempt:
    """Run a program of the guest that may fail; then install boot code, if there is any."""

    command: tuple[str, ...]
    failing: Finding
    code: BootCode | None = None
    weight = 100

    @property
    def shown(self) -> str:
        return " ".join(self.command)

    def perform(self, tree: Tree) -> tuple[Finding, ...]:
        return tree.attempt(*self.command, failing=self.failing, code=self.code)


@dataclass(frozen=True)
class Divide:
    """Make a BIOS boot partition."""

    disk: str
    start: int
    sectors: int
    weight = 1

    @property
    def shown(self) -> str:
        return "BIOS boot partition"

    def perform(self, tree: Tree) -> None:
        tree.divide(self.disk, self.start, self.sectors)


@dataclass(frozen=True)
class Install:
    """Write boot code."""

    code: BootCode
    weight = 10

    @property
    def shown(self) -> str:
        return "boot code"

    def perform(self, tree: Tree) -> None:
        tree.install(self.code)


Operation = Write | Remove | Link | Copy | Run | Attempt | Divide | Install


def apply(
    tree: Tree, operations: Sequence[Operation], report: Callable[[float, str], None] | None = None
) -> tuple[Finding, ...]:
    """Do exactly what a rehearsal recorded; before each operation tell the share done, and what.

    Returns what a person must know of programs that failed.
    """
    told: list[Finding] = []
    total = sum(operation.weight for operation in operations) or 1
    done = 0
    for operation in operations:
        if report:
            report(done / total, operation.shown)
        if isinstance(operation, Attempt):
            told += operation.perform(tree)
        else:
            operation.perform(tree)
        done += operation.weight
    if report:
        report(1.0, "")
    return tuple(told)
