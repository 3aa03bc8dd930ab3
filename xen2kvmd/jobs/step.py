# SPDX-License-Identifier: GPL-2.0-or-later
"""A step, and what it may use of its job while it runs."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cattrs

from xen2kvmd.errors import Cancelled
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal, now
from xen2kvmd.model import Finding

T = TypeVar("T")

TICK = 250_000  # µs between two progress messages
NOWHERE = Path("/nonexistent")
WINDOW = 30_000_000  # µs over which a rate is taken: UDisks' mean of speeds jumps too much


@dataclass
class Run:
    """A job under way, as its steps see it.

    notes is what the steps wrote down of what they made, durably and before they made it, so that
    undo finds it after a crash. kept holds what lives in this process only (an open appliance);
    a step must be able to do without. secrets is the folder of what the caller gave to this job
    alone (jobs/vault.py), which need not be there.
    """

    id: str
    folder: Path
    spec: Mapping[str, Any]
    journal: Journal
    sender: Sender
    cancelled: Callable[[], bool]
    secrets: Path = NOWHERE
    notes: dict[str, Any] = field(default_factory=dict)
    kept: dict[type, tuple[Any, Callable[[], None]]] = field(default_factory=dict)
    _samples: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def scratch(self) -> Path:
        """A folder for what ends with the job."""
        path = self.folder / "scratch"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def record(self, kind: str, **data: Any) -> None:
        """Write an event into the journal, then tell the daemon."""
        self.sender.send(self.journal.append(kind, **data))

    def note(self, key: str, value: Any) -> None:
        """Write down what is about to be made, or was; the last value of a key counts."""
        self.notes[key] = value
        self.record("note", key=key, value=value)

    def finding(self, finding: Finding) -> None:
        """Tell what a person must know."""
        self.record("finding", finding=cattrs.unstructure(finding))

    def result(self, key: str, value: str) -> None:
        """Tell what the job found or made; every local user can read it."""
        self.record("result", key=key, value=value)

    def check_cancelled(self) -> None:
        """Raise Cancelled if somebody wants the job to end."""
        if self.cancelled():
            raise Cancelled("The job was cancelled.")

    def fraction(self, done: float, activity: str = "") -> None:
        """Tell the share of this step that is done, 0.0 to 1.0, and what it is at now."""
        self.check_cancelled()
        self.sender.send({"type": "progress", "fraction": done, "activity": activity})

    def undoing(self, activity: str) -> None:
        """Tell what is at work, or waited for, where nobody can cancel: in an undo."""
        self.sender.send({"type": "progress", "fraction": 0.0, "activity": activity})

    def progress(self, done: int, total: int) -> None:
        """Tell how many bytes are done; cheap enough to be called for every chunk."""
        self.check_cancelled()
        time = now()
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()  # another pass has begun
        if self._samples and time - self._samples[-1][0] < TICK and done < total:
            return
        self._samples.append((time, done))
        while time - self._samples[0][0] > WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        rate = (done - before) * 1_000_000 // (time - since) if time > since else 0
        self.sender.send(
            {
                "type": "progress",
                "fraction": done / total if total else 1.0,
                "bytes_done": done,
                "bytes_total": total,
                "rate": rate,
                "expected_end_at": time + (total - done) * 1_000_000 // rate if rate else 0,
            }
        )

    def keep(self, thing: T, close: Callable[[], None]) -> T:
        """Keep something open for a later step; it is closed when the steps end."""
        self.kept[type(thing)] = (thing, close)
        return thing

    def take(self, kind: type[T]) -> T | None:
        """Return what an earlier step of this process kept open."""
        thing, _ = self.kept.get(kind, (None, None))
        return thing

    def close(self, kind: type) -> None:
        """Close what is kept of a kind, if there is one."""
        if (kept := self.kept.pop(kind, None)) is not None:
            kept[1]()

    def release(self) -> None:
        """Close all that is kept, the last first."""
        with ExitStack() as closing:
            for kind in self.kept:
                closing.callback(self.close, kind)


def nothing(_run: Run) -> None:
    """Undo a step that leaves nothing behind."""


@dataclass(frozen=True)
class Step:
    """A part of a job.

    `undo` removes what `do` made, from the notes alone; it must work after half a `do`, and twice.
    `do` must work again after `undo`. `go_on` takes up half a `do` whose process died; without it
    the half is undone, and done again. weight is the step's usual share of the job's time. A step
    that is not cancellable says so before it begins. Once a final step has begun, the job is never
    undone: what the earlier ones made is in use, and what they replaced may be gone.
    """

    name: str
    do: Callable[[Run], None]
    undo: Callable[[Run], None] = nothing
    go_on: Callable[[Run], None] | None = None
    weight: float = 1.0
    cancellable: bool = True
    final: bool = False
