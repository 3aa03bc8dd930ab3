# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told, when, and in which order."""

from tests.bus.client import JOB, MANAGER, ROOT, Client


async def test_a_new_job_is_told_before_its_reply(root: Client) -> None:
    job = await root.start()

    assert root.members()[:2] == ["InterfacesAdded", "JobNew"]
    added, new = root.signals[:2]
    assert (added.path, added.body[0], list(added.body[1])) == (ROOT, job, [JOB])
    assert added.body[1][JOB]["State"].value == "queued"
    assert (new.path, new.interface, new.body[1]) == (ROOT, MANAGER, job)
