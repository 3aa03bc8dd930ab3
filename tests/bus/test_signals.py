# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told, when, and in which order."""

import asyncio

from tests.bus.client import JOB, MANAGER, ROOT, Client
from tests.bus.running import Daemon

STARTED = {"type": "started", "steps": [["copy", 1.0]]}
COPYING = {"type": "step-begun", "step": "copy", "cancellable": True}


def ticks(*fractions: float) -> list[dict[str, object]]:
    return [
        {"type": "progress", "fraction": at, "bytes_done": int(at * 1000), "bytes_total": 1000}
        for at in fractions
    ]


async def test_a_new_job_is_told_before_its_reply(root: Client) -> None:
    job = await root.start()

    assert root.members()[:3] == ["InterfacesAdded", "JobNew", "PropertiesChanged"]
    added, new, active = root.signals[:3]
    assert (added.path, added.body[0], list(added.body[1])) == (ROOT, job, [JOB])
    assert added.body[1][JOB]["State"].value == "queued"
    assert (new.path, new.interface, new.body[1]) == (ROOT, MANAGER, job)
    assert (active.path, list(active.body[1])) == (ROOT, ["ActiveJobs"])


async def test_the_end_is_told_in_order(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    root.signals.clear()

    daemon.end(job, "failed", error_name="Busy", error_message="It is.")
    await root.heard("JobFinished")

    changed, finished, told = root.signals[:3]
    assert (changed.member, changed.path) == ("PropertiesChanged", job)
    assert changed.body[1]["State"].value == "failed"
    assert changed.body[1]["ErrorName"].value == "Busy"
    assert (finished.member, finished.path) == ("Finished", job)
    assert finished.body == ["failed", "Busy", "It is."]
    assert (told.member, told.path) == ("JobFinished", ROOT)
    assert told.body[1:] == [job, "failed", "Busy"]


async def test_the_end_is_told_once(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    daemon.end(job)
    await root.heard("JobFinished")

    daemon.events(job, {"type": "finding", "finding": {"id": "late", "message": "Late."}})
    await root.get(job, "State")

    assert root.members().count("Finished") == 1
    assert root.members().count("JobFinished") == 1


async def test_ticks_are_told_together(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    daemon.events(job, STARTED, COPYING)
    await asyncio.sleep(0.6)
    root.signals.clear()

    began = asyncio.get_running_loop().time()
    for at in range(100):
        daemon.events(job, *ticks(at / 100))
        await asyncio.sleep(0.01)
    took = asyncio.get_running_loop().time() - began
    await asyncio.sleep(0.6)

    told = [signal.body[1] for signal in root.signals if signal.path == job]
    assert 2 <= len(told) <= took / 0.5 + 2
    assert told[-1]["BytesDone"].value == 990  # the last one is not lost
    assert all("State" not in one and "Phase" not in one for one in told)


async def test_a_phase_is_told_at_once(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    daemon.events(job, STARTED, COPYING, *ticks(0.1))
    root.signals.clear()

    daemon.events(job, *ticks(0.2), {**COPYING, "step": "convert", "cancellable": False})

    assert (await root.get(job, "Phase")) == "convert"
    told = [signal.body[1] for signal in root.signals if signal.path == job]
    assert told[-1]["Phase"].value == "convert"
    assert told[-1]["Cancellable"].value is False


async def test_what_did_not_change_is_not_told(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    daemon.events(job, STARTED, COPYING, *ticks(0.5))
    await asyncio.sleep(0.6)
    root.signals.clear()

    daemon.events(job, *ticks(0.5), *ticks(0.5))
    await asyncio.sleep(0.6)

    assert root.signals == []


async def test_large_properties_are_invalidated_only(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    root.signals.clear()

    finding = {"id": "no-agent", "message": "No agent.", "severity": "info"}
    daemon.events(job, {"type": "finding", "finding": finding})
    daemon.events(job, {"type": "result", "key": "domain", "value": "web1"})
    (signal,) = await root.heard("PropertiesChanged")

    assert signal.body[:2] == [JOB, {}]
    assert "Findings" in signal.body[2]
    assert [one["id"].value for one in await root.get(job, "Findings")] == ["no-agent"]
    assert (await root.get(job, "Result"))["domain"].value == "web1"


async def test_a_removed_job_is_told_from_the_root(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    daemon.end(job)
    root.signals.clear()

    await root.job(job, "Remove")

    removed, told = root.signals[-2:]
    assert (removed.member, removed.path) == ("InterfacesRemoved", ROOT)
    assert removed.body == [job, [JOB]]
    assert (told.member, told.body[1]) == ("JobRemoved", job)


async def test_the_number_of_active_jobs_is_told(root: Client, daemon: Daemon) -> None:
    before = await root.get(ROOT, "ActiveJobs", MANAGER)
    job = await root.start()
    assert await root.get(ROOT, "ActiveJobs", MANAGER) == before + 1

    daemon.end(job)
    await root.heard("JobFinished")

    changes = [one for one in root.signals if one.path == ROOT and one.member.startswith("Prop")]
    assert [one.body[1]["ActiveJobs"].value for one in changes] == [before + 1, before]
