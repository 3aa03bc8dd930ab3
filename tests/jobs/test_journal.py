# SPDX-License-Identifier: GPL-2.0-or-later
"""A journal on a disk that runs full has whole lines, and takes more when there is room again."""

import errno
import os
from pathlib import Path

import pytest

from xen2kvmd.jobs import journal
from xen2kvmd.jobs.journal import Journal


def test_line_that_fits_by_half_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:20])

    path, write = tmp_path / "journal", os.write
    opened = Journal(path)
    opened.append("started")
    before = path.read_bytes()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        opened.append("rollback", error_name="Failed")
    assert path.read_bytes() == before
    monkeypatch.setattr(os, "write", write)
    opened.append("rollback", error_name="Failed")
    opened.close()
    assert [event["type"] for event in journal.read(path)] == ["started", "rollback"]
