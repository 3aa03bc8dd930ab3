# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker that is cut off at a step: `cut.py WAY STEP` and what xen2kvmd.job is given.

It is the real one, but for its journal: it dies, fails or is told to end where that writes down
what became of the step.
"""

import errno
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from xen2kvmd.job import steps_of
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.process import run
from xen2kvmd.jobs.status import Event

CANCEL, FAIL, KILL_IN, KILL_AFTER, STOP = "cancel", "fail", "kill-in", "kill-after", "stop"


class CutJournal(Journal):
    def __init__(self, path: Path, *, way: str, step: str) -> None:
        super().__init__(path)
        self._mark = path.with_name("cancel")
        self._way = way
        self._step = step

    def append(self, kind: str, **data: Any) -> Event:
        at = kind if data.get("step") == self._step else ""
        if at == "step-done":  # all that the step makes is there
            if self._way == FAIL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._way == KILL_IN:
                os.kill(os.getpid(), signal.SIGKILL)
        event = super().append(kind, **data)
        match (at, self._way):
            case ("step-done", "kill-after"):
                os.kill(os.getpid(), signal.SIGKILL)
            case ("step-done", "stop"):
                end()
            case ("step-begun", "cancel"):
                self._mark.touch()
                end()
        return event


def end() -> None:
    """Tell ourselves to end, as systemd and the service do; a thread of ours hears it."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)


if __name__ == "__main__":
    way, step = sys.argv[1:3]
    del sys.argv[1:3]
    with patch("xen2kvmd.jobs.worker.Journal", partial(CutJournal, way=way, step=step)):
        sys.exit(run(steps_of))
