# SPDX-License-Identifier: GPL-2.0-or-later
"""The service as it is over real jobs, whose workers have toy steps: `real_jobs.py FOLDER`.

A line on our standard input is a job to begin, as JSON: {"do": "submit", ...}; a line out its id.
FOLDER/turns has the long turns of the event loop.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.bus.heartbeat import beat
from xen2kvmd.bus.serve import serve
from xen2kvmd.jobs.registry import Jobs
from xen2kvmd.model import Limits


class Orders:
    """The test's orders, from when the jobs are there."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        asyncio.get_running_loop().add_reader(0, self._take)

    def _take(self) -> None:
        line = sys.stdin.buffer.readline()
        if not line:
            asyncio.get_running_loop().remove_reader(0)
            return
        order = json.loads(line)
        order.pop("do")
        task = asyncio.get_running_loop().create_task(self._submit(order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit(self, spec: dict[str, Any]) -> None:
        vm = spec.pop("vm", "web1")
        status = await self._jobs.submit(
            spec, operation="migrate", vm=vm, source="libvirtxml:/x", target="", owner_uid=0
        )
        sys.stdout.write(json.dumps(status.id) + "\n")
        sys.stdout.flush()


async def main(folder: Path) -> int:
    limits = Limits(at_once=64)
    jobs = Jobs(folder / "jobs", folder / "events", worker="tests.jobs.toy", limits=limits)
    Orders(jobs).listen()
    beating = asyncio.create_task(beat(folder / "turns"))
    try:
        return await serve(jobs, max_active=64, reload=lambda: None)
    finally:
        beating.cancel()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))
