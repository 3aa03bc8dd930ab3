# SPDX-License-Identifier: GPL-2.0-or-later
"""A rule: one idea about what changes when a guest leaves Xen.

A rule changes whatever tree it is given. Given a copy of the domain XML, or a rehearsal of the
guest's files, the difference is the plan; given the real one, it is the conversion.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from xen2kvmd.model import Case, Finding

T = TypeVar("T")
Apply = Callable[[T, Case], Iterator[Finding]]


@dataclass(frozen=True)
class Rule(Generic[T]):
    """A rule with its name and what the plan says of it."""

    name: str
    guide: str
    summary: str
    apply: Apply[T]

    def __call__(self, tree: T, case: Case) -> tuple[Finding, ...]:
        """Change the tree; return what a person must know."""
        return tuple(self.apply(tree, case))


def rule(*, guide: str) -> Callable[[Apply[T]], Rule[T]]:
    """Make a Rule of a function: its name, and its docstring's first line as the summary.

    guide is the section of the Xen to KVM migration guide that asks for the change, as
    "15.2.4.2 (8)", or "" where the guide is silent.
    """

    def make(function: Apply[T]) -> Rule[T]:
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        if not summary:
            raise TypeError(f"{function.__name__} has no docstring to show in the plan")
        return Rule(function.__name__, guide, summary, function)

    return make
