# SPDX-License-Identifier: GPL-2.0-or-later
"""What the door asks of the jobs; jobs.registry.Jobs is it, and the tests' double."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from xen2kvmd.jobs.status import JobStatus

Watcher = Callable[[JobStatus | None, JobStatus | None], None]


class Registry(Protocol):
    """All jobs. A watcher hears of a new job before submit() returns."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    def watch(self, watcher: Watcher) -> None: ...
    def all(self) -> tuple[JobStatus, ...]: ...
    def get(self, job_id: str) -> JobStatus: ...
    async def submit(
        self,
        spec: Mapping[str, Any],
        *,
        operation: str,
        vm: str,
        source: str,
        target: str,
        owner_uid: int,
        job_id: str = "",
    ) -> JobStatus: ...
    async def arrange(self, job_id: str, **change: Any) -> None: ...
    async def cancel(self, job_id: str) -> None: ...
    async def remove(self, job_id: str) -> None: ...
    async def file(self, job_id: str, name: str) -> str: ...
