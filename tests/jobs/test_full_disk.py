# SPDX-License-Identifier: GPL-2.0-or-later
"""A job whose disk runs full goes back all the same: its scratch files make room for that."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from xen2kvmd.errors import Failed
from xen2kvmd.jobs import worker
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.status import Event
from xen2kvmd.jobs.step import Run, Step


def test_scratch_files_make_room_for_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "events", "1")
    run = Run("1", tmp_path, {}, journal, sender, cancelled=lambda: False)
    undone: list[str] = []
    step = Step("copy", lambda _run: None, lambda _run: undone.append("copy"))
    overlay, append = run.scratch / "xvda.qcow2", journal.append
    overlay.write_bytes(bytes(1 << 20))
    run.record("step-begun", step="copy")

    def while_full(kind: str, **data: Any) -> Event:
        if overlay.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return append(kind, **data)

    monkeypatch.setattr(journal, "append", while_full)
    worker._back(run, [step], Failed("The disk is full."))

    assert undone == ["copy"]
    assert not overlay.exists()
    assert [event["type"] for event in journal.events] == ["step-begun", "rollback", "step-undone"]
    journal.close()
    sender.close()
