# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that arrange the queue, and that read its configuration anew."""

from collections.abc import Awaitable, Callable

import pytest
from dbus_next import Variant

from tests.bus.client import ERROR, FDO_ERROR, CallError, Client
from tests.bus.running import Daemon, id_of

pytestmark = pytest.mark.slow

Connect = Callable[[str], Awaitable[Client]]

CHALLENGE = FDO_ERROR + "InteractiveAuthorizationRequired"


async def test_who_passes_others_needs_more_than_who_lets_them_pass(
    root: Client, daemon: Daemon, connect: Connect
) -> None:
    """Mail may cancel its own jobs, as everybody, and no more."""
    job = await root.start()
    mail = await connect("mail")
    for priority in (-1, 1):
        with pytest.raises(CallError, match=CHALLENGE):
            await mail.job(job, "SetPriority", "ia{sv}", priority, {})
    daemon.tell("own", job=id_of(job), uid=8)
    await mail.job(job, "SetPriority", "ia{sv}", -5, {})
    assert await root.get(job, "Priority") == -5
    with pytest.raises(CallError, match=CHALLENGE):
        await mail.job(job, "SetPriority", "ia{sv}", -4, {})
    await mail.job(job, "Hold")
    assert await root.get(job, "Held") is True
    await mail.job(job, "Release")
    await root.job(job, "SetPriority", "ia{sv}", 9, {})
    with pytest.raises(CallError, match="InvalidOption"):
        await root.job(job, "SetPriority", "ia{sv}", 1001, {})


async def test_an_owner_does_not_undo_the_hold_of_another(
    root: Client, daemon: Daemon, connect: Connect
) -> None:
    job = await root.start(options={"hold": Variant("b", value=True)})
    daemon.tell("own", job=id_of(job), uid=8)
    mail = await connect("mail")
    await mail.job(job, "Release")
    await mail.job(job, "Hold")
    await root.job(job, "Hold")
    for method in ("Release", "Hold", "Release"):
        with pytest.raises(CallError, match=CHALLENGE):
            await mail.job(job, method)
    assert await root.get(job, "Held") is True
    await root.job(job, "Release")
    await mail.job(job, "Hold")
    await mail.job(job, "Release")
    assert await root.get(job, "Held") is False


async def test_a_mistake_in_the_configuration_is_told(root: Client) -> None:
    with pytest.raises(CallError, match=r"xen2kvmd\.conf:7") as caught:
        await root.call("Reload", "a{sv}", {})
    assert caught.value.name == ERROR + "InvalidConfig"


async def test_the_newest_are_listed(root: Client) -> None:
    made = [await root.start("Inspect", f"vm{number}") for number in range(4)]
    (jobs,) = await root.call("ListJobs", "a{sv}", {"limit": Variant("u", 2)})
    assert [job[0] for job in jobs] == made[2:]
    (jobs,) = await root.call("ListJobs", "a{sv}", {"limit": Variant("u", 0)})
    assert [job[0] for job in jobs][-4:] == made


async def test_prune_removes_what_is_asked(root: Client, daemon: Daemon) -> None:
    await root.call("PruneJobs", "a{sv}", {})
    kept, over, bad, running = [await root.start(vm="prune") for _ in range(4)]
    daemon.end(kept)  # it can still be rolled back
    daemon.end(over, "cancelled")
    daemon.end(bad, "failed")

    async def prune(**options: Variant) -> int:
        return int((await root.call("PruneJobs", "a{sv}", options))[0])

    assert await prune(**{"older-than": Variant("t", 3600)}) == 0
    assert await prune(states=Variant("as", ["failed"])) == 1
    with pytest.raises(CallError, match="UnknownObject"):
        await root.get(bad, "State")
    assert await prune() == 1
    assert await root.get(running, "State") == "queued"
    assert await root.get(kept, "State") == "succeeded"
