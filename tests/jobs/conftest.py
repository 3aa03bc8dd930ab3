# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab, with nothing running in it afterwards."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import children
from tests.jobs.lab import Lab


@pytest_asyncio.fixture
async def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    before = children()
    lab = Lab(tmp_path)
    await lab.jobs.start()
    yield lab
    await lab.jobs.close()
    # Workers of jobs, and those that another daemon began and none followed; or that end just now.
    for pid in children() - before:
        with suppress(ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
