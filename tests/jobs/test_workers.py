# SPDX-License-Identifier: GPL-2.0-or-later
"""Workers that systemd runs; tests/systemd has those that it does run."""

import asyncio
from pathlib import Path

from xen2kvmd.errors import MigrationError
from xen2kvmd.jobs.workers import Workers


async def test_job_that_systemd_does_not_start_is_refused_and_says_why(tmp_path: Path) -> None:
    refused: asyncio.Future[tuple[str, MigrationError]] = asyncio.Future()
    workers = Workers(
        "tests.jobs.toy",
        ended=lambda job: refused.set_exception(AssertionError(f"{job} was begun")),
        refused=lambda job, error: refused.set_result((job, error)),
        in_units=True,
    )
    workers.begin("no-such-job", (), output=tmp_path / "output")  # and no such unit, nor a systemd
    assert "no-such-job" in workers
    job, error = await asyncio.wait_for(refused, 20)
    assert (job, error.name) == ("no-such-job", "Failed")
    assert "systemctl" in str(error)
    assert (len(workers), list(tmp_path.iterdir())) == (0, [])
