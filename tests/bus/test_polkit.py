# SPDX-License-Identifier: GPL-2.0-or-later
"""A polkit that does not answer: one of ours, on a bus of its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dbus_next import Message, MessageType

from tests.bus.client import SOURCE, CallError, Client
from tests.bus.running import id_of, running_bus, running_daemon
from xen2kvmd.bus import library, polkit
from xen2kvmd.bus.callers import Callers
from xen2kvmd.bus.connection import Connection
from xen2kvmd.bus.fault import BusError, CallerLeftError
from xen2kvmd.bus.polkit import Action, Authority
from xen2kvmd.errors import LimitExceeded

pytestmark = pytest.mark.slow


class SilentPolkit:
    """Takes questions, and what is withdrawn of them."""

    def __init__(self, client: Client) -> None:
        self.asked: list[Message] = []
        self.withdrawn: list[str] = []
        self.client = client
        client.bus.add_message_handler(self._hear)

    def _hear(self, message: Message) -> bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.member == "CheckAuthorization":
            self.asked.append(message)
        else:
            self.withdrawn += message.body
        return True


@pytest.fixture
async def silent(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[SilentPolkit, Authority]]:
    assert library.NAME == "dbus_next"  # this process's
    with running_bus() as (address, _):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        client = await Client.connect(address, "polkitd")
        await client.bus.request_name(polkit.POLKIT)
        connection = await Connection.open()
        callers = Callers(connection)
        await callers.start()
        await callers.uid(client.name)
        yield SilentPolkit(client), Authority(connection, callers)
        connection.close()
        client.close()


@pytest.mark.parametrize(("ask", "limit"), [(False, "QUICK"), (True, "PATIENCE")])
async def test_no_answer_in_time_is_an_error(
    silent: tuple[SilentPolkit, Authority],
    monkeypatch: pytest.MonkeyPatch,
    *,
    ask: bool,
    limit: str,
) -> None:
    """Neither polkit's own, nor that of a person whose dialog stays open."""
    answerer, authority = silent
    monkeypatch.setattr(polkit, limit, 0.2)

    with pytest.raises(BusError, match="TimedOut"):
        await authority.check(answerer.client.name, Action.MIGRATE, {"vm": "web1"}, uid=8, ask=ask)

    async with asyncio.timeout(2):
        while not answerer.withdrawn:
            await asyncio.sleep(0.01)
    _, action, details, flags, check_id = answerer.asked[0].body
    assert (action, details, flags) == ("org.xen2kvm.migrate", {"vm": "web1"}, int(ask))
    assert answerer.withdrawn == [check_id]


async def test_a_user_asks_so_many_questions_at_once(
    silent: tuple[SilentPolkit, Authority],
) -> None:
    answerer, authority = silent

    async def ask(uid: int) -> None:
        await authority.check(answerer.client.name, Action.MIGRATE, {}, uid=uid, ask=True)

    asked = [asyncio.ensure_future(ask(8)) for _ in range(polkit.PENDING_PER_USER)]
    async with asyncio.timeout(2):
        while len(answerer.asked) < polkit.PENDING_PER_USER:
            await asyncio.sleep(0.01)

    with pytest.raises(LimitExceeded):
        await asyncio.wait_for(ask(8), 2)
    asked.append(asyncio.ensure_future(ask(9)))  # another user may
    async with asyncio.timeout(2):
        while len(answerer.asked) <= polkit.PENDING_PER_USER:
            await asyncio.sleep(0.01)

    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    async with asyncio.timeout(2):
        while len(answerer.withdrawn) < len(asked):
            await asyncio.sleep(0.01)
    asked = [asyncio.ensure_future(ask(8))]  # the places are free again
    await asyncio.sleep(0.1)
    assert not asked[0].done()
    asked[0].cancel()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_nobody_waits_for_one_who_left_before(
    silent: tuple[SilentPolkit, Authority],
) -> None:
    """The caller left after we learnt who it is, and before we began to wait."""
    _, authority = silent
    waiting = authority._callers.while_there(":1.4711", asyncio.Event().wait())
    with pytest.raises(CallerLeftError):
        await asyncio.wait_for(waiting, 2)


async def test_root_is_not_asked_about(silent: tuple[SilentPolkit, Authority]) -> None:
    answerer, authority = silent
    await authority.check(answerer.client.name, Action.MIGRATE, {}, uid=0, ask=True)
    assert answerer.asked == []


async def test_what_became_wrong_while_a_person_was_asked_is_refused(library: str) -> None:
    """It is looked at before polkit is asked, and again when that has said yes."""
    with running_bus() as (address, _), running_daemon(address, library) as daemon:
        answerer = SilentPolkit(await Client.connect(address, "polkitd"))
        await answerer.client.bus.request_name(polkit.POLKIT)
        root, mail = await Client.connect(address), await Client.connect(address, "mail")
        job = await root.start()
        daemon.end(job)
        calling = asyncio.ensure_future(mail.job(job, "Rollback"))
        async with asyncio.timeout(5):
            while not answerer.asked:
                await asyncio.sleep(0.01)

        daemon.events(job, {"type": "settled", "how": "finalize by job x"})
        yes = Message.new_method_return(answerer.asked[0], "(bba{ss})", [[True, False, {}]])
        await answerer.client.bus.send(yes)

        with pytest.raises(CallError, match="AlreadySettled"):
            await calling
        assert answerer.asked[0].body[1:3] == [
            "org.xen2kvm.rollback",
            {
                "vm": "web1",
                "source": SOURCE,
                "target": "",
                "operation": "rollback",
                "job": id_of(job),
                "job.owner": "0",
            },
        ]
        for client in (answerer.client, root, mail):
            client.close()
