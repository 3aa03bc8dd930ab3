# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules that we ship as an example do what they say, for the members of a group alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from dbus_next import Variant

from tests.bus.client import ERROR, FDO_ERROR, CallError, Client, Options
from tests.bus.running import CHECKOUT, Daemon, running_bus, running_daemon, running_polkit

RULES = (CHECKOUT / "polkit/50-xen2kvm.rules.example").read_text()
MEMBERS = ("games", "news")
XEN1 = "xen+ssh://root@xen1.example.com/system"
CHALLENGE = FDO_ERROR + "InteractiveAuthorizationRequired"


class World:
    """A service, and callers who are in the group or are not."""

    def __init__(self, address: str, daemon: Daemon) -> None:
        self._address = address
        self._clients: list[Client] = []
        self.daemon = daemon

    async def as_user(self, name: str) -> Client:
        self._clients.append(await Client.connect(self._address, name))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest_asyncio.fixture
async def world(library: str) -> AsyncIterator[World]:
    group = f"migrators:x:4711:{','.join(MEMBERS)}"
    with (
        running_bus() as (address, _),
        running_polkit(address, RULES, group),
        running_daemon(address, library) as daemon,
    ):
        made = World(address, daemon)
        yield made
        made.close()


def pool(name: str) -> Options:
    return {"pool": Variant("s", name)}


async def test_members_migrate_from_that_host_into_that_pool(world: World) -> None:
    async def migrate(user: str, source: str, options: Options, member: str = "Migrate") -> str:
        client = await world.as_user(user)
        (path,) = await client.call(member, "ssa{sv}", source, "web1", options)
        world.daemon.end(str(path))
        return str(path)

    assert await migrate("games", XEN1, pool("default"))
    assert await migrate("news", XEN1, {})
    assert await migrate("news", XEN1, {}, "Inspect")
    for user, source, options in (
        ("mail", XEN1, pool("default")),
        ("games", "xen+ssh://root@xen2.example.com/system", pool("default")),
        ("games", XEN1, pool("fast")),
        ("games", XEN1, {"disk-pool": Variant("as", ["xvdb=fast"])}),
        ("games", XEN1, {"target": Variant("s", "qemu+ssh://root@kvm2/system")}),
        ("games", XEN1, {"directory": Variant("s", "/srv")}),
        ("games", XEN1, {"overwrite": Variant("b", value=True)}),
        ("games", f"{XEN1}?keyfile=/root/.ssh/id", {}),
        ("games", "libvirtxml:/srv/web1.xml", pool("default")),
    ):
        with pytest.raises(CallError) as caught:
            await migrate(user, source, options)
        assert caught.value.name == CHALLENGE, (user, source, options)


async def test_members_read_and_cancel_each_others_jobs(world: World) -> None:
    games, news, mail = await asyncio.gather(*map(world.as_user, (*MEMBERS, "mail")))
    (path,) = await games.call("Migrate", "ssa{sv}", XEN1, "web1", {})
    for member in ("GetPlan", "Cancel"):
        with pytest.raises(CallError, match=CHALLENGE):
            await mail.job(path, member)
    with pytest.raises(CallError, match=ERROR + "NotFinished"):
        await news.job(path, "GetPlan")  # it is not made yet
    await news.job(path, "Cancel")
    assert await news.get(path, "State") == "cancelling"
    with pytest.raises(CallError, match=CHALLENGE):
        await news.job(path, "Hold")  # that is not among what the rules give
