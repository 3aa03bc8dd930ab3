# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of jobs, and the daemons that follow them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xen2kvmd.jobs.registry import Jobs
from xen2kvmd.jobs.status import JobStatus

SECONDS = 20.0


class Lab:
    """A folder of jobs, and daemons over it that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / "made"
        self.place.mkdir()
        self.seen: list[tuple[JobStatus | None, JobStatus | None]] = []
        self.jobs = self.another()

    def another(self, *, worker: str = "tests.jobs.toy", **more: Any) -> Jobs:
        """Return another daemon, which has not started."""
        jobs = Jobs(self.folder / "jobs", self.folder / "events", worker=worker, **more)
        jobs.watch(lambda old, new: self.seen.append((old, new)))
        return jobs

    async def restart(self, *, closed: bool = False, **more: Any) -> None:
        if not closed:
            await self.jobs.close()
        self.jobs = self.another(**more)
        await self.jobs.start()

    async def submit(self, vm: str = "web1", operation: str = "migrate", **spec: Any) -> str:
        status = await self.jobs.submit(
            {"place": str(self.place), **spec},
            operation=operation, vm=vm, source="libvirtxml:/x", target="default", owner_uid=0,
        )  # fmt: skip
        return status.id

    async def wait(self, job: str, until: Callable[[JobStatus], bool]) -> JobStatus:
        async with asyncio.timeout(SECONDS):
            while not until(self.jobs.get(job)):
                await asyncio.sleep(0.01)
        return self.jobs.get(job)

    async def end(self, job: str) -> JobStatus:
        return await self.wait(job, lambda status: status.state.final)

    async def step(self, job: str, step: str) -> JobStatus:
        """Wait until a step is really under way."""
        await self.wait(job, lambda status: status.step == step)
        async with asyncio.timeout(SECONDS):
            while not (self.place / f"{job}-{step}").exists():
                await asyncio.sleep(0.01)
        return self.jobs.get(job)

    def pid(self, job: str) -> int:
        return int((self.folder / "jobs" / job / "lock").read_text())

    def left(self) -> list[str]:
        return sorted(
            path.name
            for path in self.place.iterdir()
            if path.name not in ("go", "go again", "back")
        )
