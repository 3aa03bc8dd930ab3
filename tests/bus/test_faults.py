# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults of the D-Bus libraries: each has a remedy, and fails here without it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest
from dbus_next import Message, MessageFlag, MessageType, Variant

from tests.bus.client import (
    ERROR,
    FDO,
    FDO_ERROR,
    JOB,
    MANAGER,
    NAME,
    PROPERTIES,
    ROOT,
    CallError,
    Client,
)
from tests.bus.daemon import SECRET
from tests.bus.raw import RawCaller
from tests.bus.running import Daemon, id_of, running_bus, running_daemon

Connect = Callable[[str], Awaitable[Client]]


async def test_a_full_socket_is_waited_for(library: str) -> None:
    """The bus reads nothing for a while; then all comes, in order."""
    count = 3000
    with running_bus() as (address, bus), running_daemon(address, library) as daemon:
        root = await Client.connect(address)
        await root.listen()
        job = await root.start()
        root.signals.clear()

        bus.send_signal(signal.SIGSTOP)
        step = {"type": "step-begun", "cancellable": True}
        daemon.events(job, *({**step, "step": f"step{number}"} for number in range(count)))
        await asyncio.sleep(0.2)
        bus.send_signal(signal.SIGCONT)

        await root.heard("PropertiesChanged", count)
        phases = [one.body[1]["Phase"].value for one in root.signals]
        assert phases == [f"step{number}" for number in range(count)]
        assert await root.call("Ping", interface=FDO + ".Peer") == []
        root.close()


async def test_no_traceback_leaves(root: Client, daemon: Daemon) -> None:
    job = await root.start(vm="boom")

    with pytest.raises(CallError) as caught:
        await root.job(job, "GetPlan")

    assert caught.value.name == ERROR + "Internal"
    assert len(caught.value.body) == 1
    assert SECRET not in caught.value.text
    assert "Traceback" not in caught.value.text
    assert SECRET in daemon.log  # where it belongs


async def test_a_cancelled_handler_answers(root: Client) -> None:
    job = await root.start(vm="cancelled")
    with pytest.raises(CallError) as caught:
        await root.job(job, "GetPlan")
    assert caught.value.name == ERROR + "ShuttingDown"


async def test_a_reply_that_does_not_fit_answers(root: Client) -> None:
    job = await root.start(vm="misfit")
    with pytest.raises(CallError) as caught:
        await root.job(job, "GetPlan")
    assert caught.value.name == ERROR + "Internal"


async def test_a_refusal_is_not_logged_as_a_fault(root: Client, daemon: Daemon) -> None:
    before = daemon.log
    with pytest.raises(CallError):
        await root.start(options={"pol": Variant("s", "x")})
    with pytest.raises(CallError):
        await root.call("Nonsense")
    assert daemon.log == before


async def test_descriptors_sent_to_us_are_not_kept(
    root: Client, daemon: Daemon, bus_address: str
) -> None:
    before = daemon.tell("stats")["descriptors"]
    with RawCaller(bus_address, "mail", descriptors=True) as caller:
        for kind in (MessageType.METHOD_CALL, MessageType.SIGNAL):
            for _ in range(5):
                caller.send_descriptors(kind, count=16)
    await root.call("Ping", interface=FDO + ".Peer")
    await asyncio.sleep(0.1)

    assert daemon.tell("stats")["descriptors"] <= before


@pytest.mark.parametrize(
    ("path", "interface", "member", "error"),
    [
        ("/nowhere", MANAGER, "ListJobs", "UnknownObject"),
        (ROOT, NAME + ".Nothing", "ListJobs", "UnknownInterface"),
        (ROOT, JOB, "Cancel", "UnknownInterface"),
        (ROOT, MANAGER, "Nothing", "UnknownMethod"),
        (ROOT, None, "Nothing", "UnknownMethod"),
        (ROOT, MANAGER, "ListJobs", "InvalidArgs"),
        (ROOT, PROPERTIES, "Get", "InvalidArgs"),
    ],
)
async def test_what_is_unknown_is_named(
    root: Client, path: str, interface: str | None, member: str, error: str
) -> None:
    with pytest.raises(CallError) as caught:
        await root.call(member, path=path, interface=interface)
    assert caught.value.name == FDO_ERROR + error


async def test_an_interface_need_not_be_named(root: Client) -> None:
    assert len(await root.call("ListJobs", "a{sv}", {}, interface=None)) == 1
    assert await root.call("Ping", interface=None) == []


async def test_properties_are_read_only_and_named(root: Client) -> None:
    async def error_of(member: str, signature: str, *body: object) -> str:
        with pytest.raises(CallError) as caught:
            await root.call(member, signature, *body, interface=PROPERTIES)
        return caught.value.name.removeprefix(FDO_ERROR)

    assert await error_of("Set", "ssv", MANAGER, "Version", Variant("s", "9")) == "PropertyReadOnly"
    assert await error_of("Set", "ssv", MANAGER, "Nothing", Variant("s", "")) == "UnknownProperty"
    assert await error_of("Get", "ss", MANAGER, "Nothing") == "UnknownProperty"
    assert await error_of("GetAll", "s", "no.such.Interface") == "UnknownInterface"
    assert (await root.call("Get", "ss", "", "MaxActiveJobs", interface=PROPERTIES))[0].value == 64


async def test_the_machine_id_can_be_had_twice(root: Client) -> None:
    ids = [await root.call("GetMachineId", interface=FDO + ".Peer") for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0][0]) == 32


async def test_nul_and_surrogates_do_not_end_the_connection(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    odd = "a\0b\ud800c"
    daemon.tell("write", job=id_of(job), name="log", text="1 6 a\0b\n")
    daemon.tell("write", job=id_of(job), name="plan.json", text=odd)
    daemon.events(job, {"type": "result", "key": odd, "value": odd})
    daemon.end(job, "failed", error_name="Failed", error_message=odd)

    clean = "a\ufffdb\ufffdc"
    assert (await root.job(job, "GetLog", "tua{sv}", 0, 0, {}))[0] == [[1, 6, "a\ufffdb"]]
    assert await root.job(job, "GetPlan") == [clean]
    assert (await root.get(job, "Result"))[clean].value == clean
    assert (await root.heard("Finished"))[0].body[2] == clean


async def test_numbers_beyond_d_bus_do_not_stop_the_signals(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    daemon.events(
        job,
        {"type": "started", "steps": [["copy", 1.0]]},
        {"type": "step-begun", "step": "copy", "cancellable": True},
        {
            "type": "progress",
            "fraction": 7.5,
            "bytes_done": -1,
            "bytes_total": 1 << 70,
        },
    )
    daemon.end(job)

    await root.heard("Finished")
    assert await root.get(job, "BytesDone") == 0
    assert await root.get(job, "BytesTotal") == (1 << 64) - 1


async def test_signatures_are_not_kept_for_ever(root: Client, daemon: Daemon) -> None:
    letters = "ybnqiuxtdsog"
    odd = [a + b + c + d for a in letters for b in letters for c in letters for d in "ybn"]
    values = {"s": "", "o": "/", "g": "", "b": False}

    async def send(signature: str) -> None:
        body = [values.get(kind, 0) for kind in signature]
        with pytest.raises(CallError, match="InvalidArgs"):
            await root.call("ListJobs", signature, *body)

    for at in range(0, 2000, 100):
        await asyncio.gather(*map(send, odd[at : at + 100]))

    assert daemon.tell("stats")["signatures"] <= 1100


async def test_a_reply_nobody_wants_is_not_sent(root: Client, bus_address: str) -> None:
    replies: list[Message] = []

    def hear(message: Message) -> None:
        if message.message_type in (MessageType.METHOD_RETURN, MessageType.ERROR):
            replies.append(message)

    root.bus.add_message_handler(hear)
    for member in ("Ping", "Nothing"):
        await root.bus.send(
            Message(
                destination=NAME,
                path=ROOT,
                interface=FDO + ".Peer",
                member=member,
                flags=MessageFlag.NO_REPLY_EXPECTED,
            )
        )
    await root.call("ListJobs", "a{sv}", {})

    assert len(replies) == 1


async def test_the_bus_alone_says_who_left(root: Client, daemon: Daemon, connect: Connect) -> None:
    """Anybody can send a signal NameOwnerChanged straight to us."""
    job = await root.start()
    waiting = asyncio.ensure_future(root.job(job, "Wait"))
    await root.get(job, "State")
    liar = await connect("mail")
    (owner,) = await liar.call(
        "GetNameOwner", "s", NAME, path="/org/freedesktop/DBus", interface=FDO, destination=FDO
    )
    await liar.bus.send(
        Message(
            destination=owner,
            path="/org/freedesktop/DBus",
            interface=FDO,
            member="NameOwnerChanged",
            message_type=MessageType.SIGNAL,
            signature="sss",
            body=[root.name, root.name, ""],
        )
    )
    await liar.call("Ping", interface=FDO + ".Peer")

    daemon.end(job)
    assert (await waiting)[0] == "succeeded"


async def test_each_caller_is_who_the_bus_says(daemon: Daemon, connect: Connect) -> None:
    users = {"root": 0, "games": 5}
    clients = [(user, await connect(user)) for user in list(users) * 5]

    async def owners(user: str, client: Client) -> list[tuple[int, int]]:
        found = []
        for _ in range(3):
            job = await client.start("Inspect")
            found.append((users[user], await client.get(job, "OwnerUid")))
            daemon.end(job)
        return found

    for pairs in await asyncio.gather(*(owners(*pair) for pair in clients)):
        assert all(real == shown for real, shown in pairs)


async def test_callers_are_forgotten(daemon: Daemon, root: Client, connect: Connect) -> None:
    before = daemon.tell("stats")["callers"]
    for _ in range(5):
        client = await connect("mail")
        await client.call("ListJobs", "a{sv}", {})
        client.close()
    async with asyncio.timeout(5):
        while daemon.tell("stats")["callers"] > before + 1:  # root, who had not called yet
            await asyncio.sleep(0.05)


async def test_variants_in_variants_are_refused(root: Client) -> None:
    value = Variant("i", 1)
    for _ in range(40):
        value = Variant("v", value)
    with pytest.raises(CallError) as caught:
        await root.start(options={"name": value})
    assert caught.value.name == FDO_ERROR + "InvalidArgs"
