# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time of a migration goes: a job is followed, and says itself what it is at."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What a job says it is at, and the row that stands for it; the first that matches counts.
PARTS = (
    (r"inspect: starting the appliance", "launch of the appliance"),
    (r"inspect: looking", "inspection"),
    (r"convert: .*(initramfs|dracut|mkinitrd)", "initrd"),
    (r"convert: boot code", "boot code"),
    (r"convert: looking at the result", "a look at the result"),
    (r"convert: giving back", "trim"),
    (r"convert: checking", "check of the file systems"),
    (r"convert: ", "edits, and the boot menu made anew"),
)


@dataclass
class Followed:
    """A migration that is over: its job, the seconds of each part, and its process's memory."""

    job: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    memory: int = 0  # MiB of the worker at most, beside the appliance


def follow(*argv: str | Path) -> Followed:
    """Run a migration with its --json; end with what it said if it fails."""
    result = Followed()
    part, since = "", time.monotonic()
    for job in _told(*argv):
        result.job = job["Id"]
        result.memory = max(result.memory, _memory(result.job))
        now = time.monotonic()
        if part:
            result.seconds[part] = result.seconds.get(part, 0.0) + now - since
        part, since = _part(job), now
    return result


def _told(*argv: str | Path) -> Iterator[dict[str, Any]]:
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            yield json.loads(line)
        said = process.stderr.read()
    if process.returncode:
        sys.exit(f"{argv[0]} failed: {said[-2000:]}")


def _part(job: dict[str, Any]) -> str:
    at = f"{job['Phase']}: {job['Activity']}"
    return next((name for pattern, name in PARTS if re.match(pattern, at)), "")


def _memory(job: str) -> int:
    """Return the MiB that the job's worker has taken at most until now."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            if job.encode() in argv and b"-m" in argv:
                return int(_PEAK.findall((folder / "status").read_text())[0]) >> 10
        except (OSError, IndexError):
            pass  # it has just ended
    return 0


_PEAK = re.compile(r"VmHWM:\s*(\d+) kB")
