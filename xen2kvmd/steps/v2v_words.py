# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading what virt-v2v says: its messages, its progress, and why it failed.

Messages are JSON lines (virt-v2v(1), "machine readable output"). Progress is not among them since
its version 2.0: what there is, is the bar that nbdcopy(1) draws on standard error.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xen2kvmd.errors import Failed, InsufficientSpace, InvalidOption, MigrationError, Unsupported
from xen2kvmd.words import one_line

_BAR = re.compile(r"(\d{1,3})% \[")  # common/progress of nbdcopy: "█ 42% [****----]"
_COPYING = re.compile(r"Copying disk (\d+)/(\d+)")
# Before the copy, the share of the time that is over when a phase begins; measured on one guest.
_PHASES = (
    ("Setting up the source", 0.0),
    ("Opening the source", 0.02),
    ("Inspecting the source", 0.3),
    ("Checking for sufficient free disk space", 0.35),
    ("Converting", 0.35),
    ("Mapping filesystem data", 0.7),
    ("Closing the overlay", 0.78),
    ("Copying disk", 0.8),
)
_FAULTS: tuple[tuple[str, type[MigrationError], str], ...] = (
    (r"insufficient free space|not enough free space|No space left on device|free inodes",
     InsufficientSpace, "Make room: in the guest, or in the folder of jobs, as the message says."),
    (r"hibernat|fast (startup|restart)|unsafe state|mounted read-only|unclean", Unsupported,
     "Start Windows once more and shut it down wholly, without fast startup: shutdown /s /t 0"),
    (r"multi-boot|root device .* not found|--root", InvalidOption,
     "Say with --root DEVICE which of the guest's root file systems is meant."),
    (r"rhsrvany|pvvxsvc", Unsupported, "Install the package with rhsrvany.exe (mingw32-srvany)."),
    (r"unable to convert this guest type|only Xen kernels|no installed kernel|no bootloader",
     Unsupported, "virt-v2v does not know such guests. For Linux, try --engine native."),
    (r"inspection could not detect|no root device|no operating system|package format|no packages",
     Unsupported, "virt-v2v does not know such guests. For Linux, try --engine native."),
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """A message: its type (message, info, warning or error) and text."""

    type: str
    text: str


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages of whole JSON lines; a line that is none is left out."""
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("message"), str):
            yield Message(str(found.get("type", "message")), found["message"])


def percent(line: str) -> int | None:
    """Return the percentage of a drawing of nbdcopy's bar, or None for any other line."""
    found = _BAR.search(line)
    return min(100, int(found[1])) if found else None


def copied(message: str, percentage: int, sizes: Sequence[int]) -> tuple[int, int] | None:
    """Return how many bytes of how many are copied, or None before the copy; sizes are of disks."""
    found = _COPYING.match(message)
    if found is None or not sizes:
        return None
    before = sizes[: int(found[1]) - 1]
    now = sizes[min(int(found[1]), len(sizes)) - 1]
    return sum(before) + now * percentage // 100, sum(sizes)


def share(message: str) -> float | None:
    """Return the share of the work that is done when this message comes; None for others."""
    return next((part for words, part in _PHASES if message.startswith(words)), None)


def failure(found: Sequence[Message], last: Sequence[str], code: int) -> MigrationError:
    """Return our error for a virt-v2v that failed; last are the last lines that it printed."""
    said = "; ".join(message.text for message in found if message.type == "error")
    said = said or " / ".join(last) or f"it ended with exit code {code}"
    said = one_line(said)
    for pattern, error, hint in _FAULTS:
        if re.search(pattern, said, re.IGNORECASE):
            return error("virt-v2v failed.", hint=hint, said=said)
    hint = "The log of the job has all that it printed."
    return Failed("virt-v2v failed.", hint=hint, said=said)
