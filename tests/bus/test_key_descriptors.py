# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys that callers hand over: read from whatever can be read, and not one descriptor is left."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from dbus_next import Variant

from tests.bus.client import ERROR, FDO, FDO_ERROR, JOB, NONE, SOURCE, CallError, Client, Options
from tests.bus.prompt import answered_promptly
from tests.bus.running import Daemon, id_of, running_bus, running_daemon
from tests.bus.test_polkit import SilentPolkit
from xen2kvmd.bus import polkit

Connect = Callable[[str], Awaitable[Client]]

PIPE, EMPTY, LONG = b"from a pipe\n", b"", b"x" * 4097


def memfd(content: bytes) -> int:
    descriptor = os.memfd_create("key")
    os.write(descriptor, content)
    return descriptor


def deleted(folder: Path) -> int:
    path = folder / "key"
    path.write_bytes(b"of a file that is gone")
    descriptor = os.open(path, os.O_RDONLY)
    path.unlink()
    return descriptor


def piped(content: bytes, *, flags: int = 0) -> int:
    ours, theirs = os.pipe2(flags)
    os.write(theirs, content)
    os.close(theirs)
    return ours


@contextmanager
def sent(*descriptors: int) -> Iterator[Sequence[int]]:
    """Give descriptors, which are closed afterwards."""
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def handed(*selectors: str) -> Variant:
    return Variant("a(sh)", [[selector, place] for place, selector in enumerate(selectors)])


async def migrate(
    client: Client,
    descriptors: Sequence[int],
    *selectors: str,
    source: str = SOURCE,
    more: Options = NONE,
) -> str:
    """Call Migrate with a key for each selector; return the job's path."""
    options = {"key-descriptors": handed(*selectors), **more}
    body = (source, "web1", options)
    (path,) = await client.call("Migrate", "ssa{sv}", *body, descriptors=descriptors, timeout=30)
    return str(path)


async def none_left(root: Client, daemon: Daemon, before: int) -> None:
    """See that the service has no descriptor more than before."""
    async with asyncio.timeout(5):
        while daemon.tell("stats")["descriptors"] > before:
            await asyncio.sleep(0.02)
    await root.call("Ping", interface=FDO + ".Peer")


async def test_keys_become_secrets_of_the_job(root: Client, daemon: Daemon, tmp_path: Path) -> None:
    """Where a descriptor stands in its file is its sender's affair: memfds are at their end."""
    before = daemon.tell("stats")["descriptors"]
    uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    descriptors = (
        memfd("geheim-ü\n".encode()),
        deleted(tmp_path),
        piped(PIPE),
        piped(PIPE, flags=os.O_NONBLOCK),
    )
    with sent(*descriptors):
        credential = {"keys": Variant("as", ["all:credential:vm1"])}
        selectors = ("all", "all", "/dev/xvdb", uuid)
        job = await migrate(root, descriptors, *selectors, more=credential)

    assert daemon.tell("secrets", job=id_of(job)) == {
        "1": "geheim-ü",
        "2": "of a file that is gone",
        "3": "from a pipe",
        "4": "from a pipe",
    }
    spec = daemon.tell("spec", job=id_of(job))
    assert spec["keys"] == [
        {"selector": "all", "file": "", "credential": "vm1"},
        {"selector": "all", "file": "1", "credential": ""},
        {"selector": "all", "file": "2", "credential": ""},
        {"selector": "/dev/xvdb", "file": "3", "credential": ""},
        {"selector": uuid, "file": "4", "credential": ""},
    ]
    await none_left(root, daemon, before)


async def test_one_descriptor_may_be_for_two_disks(root: Client, daemon: Daemon) -> None:
    with sent(memfd(b"hunter2")) as descriptors:
        options = {"key-descriptors": Variant("a(sh)", [["/dev/xvda2", 0], ["/dev/xvdb1", 0]])}
        body = (SOURCE, "web1", options)
        (job,) = await root.call("Plan", "ssa{sv}", *body, descriptors=descriptors)
    assert set(daemon.tell("secrets", job=id_of(job)).values()) == {"hunter2"}


async def test_whoever_has_opened_it_names_no_path(daemon: Daemon, connect: Connect) -> None:
    """Lp may migrate, and name no path of the host."""
    with sent(memfd(b"hunter2")) as descriptors:
        job = await migrate(await connect("lp"), descriptors, "all", source="xen:///system")
    assert daemon.tell("secrets", job=id_of(job)) == {"1": "hunter2"}
    daemon.end(job)


def _socket() -> int:
    return socket.socket(socket.AF_UNIX).detach()


HOSTILE: dict[str, tuple[Callable[[Path], int], str]] = {
    "empty": (lambda _: memfd(EMPTY), "no passphrase"),
    "newline": (lambda _: memfd(b"\n"), "no passphrase"),
    "long": (lambda _: memfd(LONG), "no passphrase"),
    "long pipe": (lambda _: piped(LONG * 10), "no passphrase"),
    "binary": (lambda _: memfd(b"a\0b"), "no passphrase"),
    "no text": (lambda _: memfd(b"\xff\xfe"), "no passphrase"),
    "zero": (lambda _: os.open("/dev/zero", os.O_RDONLY), "neither a file nor a pipe"),
    "folder": (lambda folder: os.open(folder, os.O_RDONLY), "neither a file nor a pipe"),
    "socket": (lambda _: _socket(), "neither a file nor a pipe"),
    "event": (lambda _: os.eventfd(1), "neither a file nor a pipe"),
    "memory": (lambda _: os.open("/proc/self/mem", os.O_RDONLY), "no passphrase"),
    "proc": (lambda _: os.open("/proc/self/stat", os.O_RDONLY), "no passphrase"),
    "path": (lambda _: os.open("/etc/passwd", os.O_PATH), "cannot be read: Bad file"),
    "to write": (lambda folder: os.open(folder / "w", os.O_WRONLY | os.O_CREAT), "no passphrase"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_is_no_key_is_refused_and_closed(
    root: Client, daemon: Daemon, tmp_path: Path, kind: str
) -> None:
    make, why = HOSTILE[kind]
    before = daemon.tell("stats")["descriptors"]
    with sent(make(tmp_path)) as descriptors, pytest.raises(CallError, match=why) as caught:
        await migrate(root, descriptors, "/dev/xvda2")
    assert caught.value.name == ERROR + "InvalidOption"
    assert "/dev/xvda2" in caught.value.text
    assert "a\\0b" not in caught.value.text
    await none_left(root, daemon, before)


async def test_a_pipe_that_stays_open_holds_up_nobody_and_has_its_time(
    root: Client, daemon: Daemon, bus_address: str, tmp_path: Path
) -> None:
    """Nor does a FIFO that nobody writes to. Two calls of a user are read at once, others wait."""
    before = daemon.tell("stats")["descriptors"]
    ours, theirs = os.pipe()
    os.write(theirs, b"half of a ke")
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with sent(fifo), answered_promptly(bus_address):
        calls = [asyncio.ensure_future(migrate(root, [one], "/dev/xvdb")) for one in (ours, fifo)]
        await asyncio.sleep(0.5)
        with sent(memfd(b"hunter2")) as descriptors:
            waiting = asyncio.ensure_future(migrate(root, descriptors, "all"))
            assert not (await asyncio.wait({waiting, *calls}, timeout=1))[0]
            said = await asyncio.gather(*calls, return_exceptions=True)
            assert await waiting
    for error in said:
        assert isinstance(error, CallError)
        assert "The key for /dev/xvdb did not come within 10 seconds" in error.text
    os.close(theirs)
    os.close(ours)
    await none_left(root, daemon, before)


async def test_refused_caller_leaves_nothing(
    root: Client, daemon: Daemon, connect: Connect
) -> None:
    before = daemon.tell("stats")["descriptors"]
    mail = await connect("mail")
    for _ in range(20):
        with sent(memfd(b"hunter2")) as descriptors, pytest.raises(CallError) as caught:
            await migrate(mail, descriptors, "all", source="xen:///system")
        assert caught.value.name == FDO_ERROR + "InteractiveAuthorizationRequired"
    await none_left(root, daemon, before)
    assert "hunter2" not in daemon.log


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (Variant("a(sh)", [["all", 1]]), FDO_ERROR + "InvalidArgs"),
        (Variant("a(sh)", [["all", (1 << 32) - 1]]), FDO_ERROR + "InvalidArgs"),
        (Variant("a{sh}", {"all": 0}), FDO_ERROR + "InvalidArgs"),
        (Variant("h", 0), FDO_ERROR + "InvalidArgs"),
        (Variant("a(sh)", [["xvda2", 0]]), ERROR + "InvalidOption"),
        (Variant("a(sh)", [["all", 0]] * 65), ERROR + "InvalidOption"),
    ],
)
async def test_malformed_calls_are_refused_and_closed(
    root: Client, daemon: Daemon, value: Variant, error: str
) -> None:
    before = daemon.tell("stats")["descriptors"]
    for member in ("Inspect", "Plan", "Migrate"):
        body = (SOURCE, "web1", {"key-descriptors": value})
        with sent(memfd(b"hunter2")) as descriptors, pytest.raises(CallError) as caught:
            await root.call(member, "ssa{sv}", *body, descriptors=descriptors)
        assert caught.value.name == error
    await none_left(root, daemon, before)


async def test_descriptors_that_no_option_names_are_closed(root: Client, daemon: Daemon) -> None:
    before = daemon.tell("stats")["descriptors"]
    with sent(memfd(b"hunter2")) as one:
        many = [one[0]] * 16
        for _ in range(30):
            await root.call("ListJobs", "a{sv}", {}, descriptors=many)
            await root.call("Ping", interface=FDO + ".Peer", descriptors=many)
            with pytest.raises(CallError, match="UnknownMethod"):
                await root.call("Nonsense", descriptors=many)
            job = await migrate(root, many, "all")
            with pytest.raises(CallError, match="NotFinished"):
                await root.call("Remove", "a{sv}", {}, path=job, interface=JOB, descriptors=many)
    await none_left(root, daemon, before)


async def test_a_caller_has_so_many_under_way(
    root: Client, daemon: Daemon, connect: Connect
) -> None:
    before = daemon.tell("stats")["descriptors"]
    games = await connect("games")
    ours, theirs = os.pipe()
    pending = asyncio.ensure_future(migrate(games, [ours] * 16, "all"))
    await asyncio.sleep(0.3)
    with sent(memfd(b"hunter2")) as descriptors:
        with pytest.raises(CallError, match="Too many file descriptors") as caught:
            await migrate(games, descriptors, "all")
        assert caught.value.name == ERROR + "LimitExceeded"
        os.write(theirs, PIPE)
        os.close(theirs)
        daemon.end(await pending)
        daemon.end(await migrate(games, descriptors, "all"))
    os.close(ours)
    await none_left(root, daemon, before)


async def test_none_stays_open_while_a_person_is_asked(library: str) -> None:
    with running_bus() as (address, _):
        answerer = await Client.connect(address, "polkitd")
        await answerer.bus.request_name(polkit.POLKIT)
        silent = SilentPolkit(answerer)
        with running_daemon(address, library) as daemon:
            mail, root = await Client.connect(address, "mail"), await Client.connect(address)
            await root.call("Ping", interface=FDO + ".Peer")
            before = daemon.tell("stats")["descriptors"]
            with sent(memfd(b"hunter2")) as descriptors:
                asking = asyncio.ensure_future(migrate(mail, [*descriptors] * 16, "all"))
                async with asyncio.timeout(10):
                    while not silent.asked:
                        await asyncio.sleep(0.02)
            await none_left(root, daemon, before)
            asking.cancel()
            for client in (mail, root):
                client.close()
        answerer.close()


async def test_the_same_token_is_the_same_call_with_any_key(root: Client, daemon: Daemon) -> None:
    token = {"job-token": Variant("s", "with_key")}
    jobs = []
    for key in (b"first", b"second"):
        with sent(memfd(key)) as descriptors:
            jobs.append(await migrate(root, descriptors, "all", more=token))
    assert jobs[0] == jobs[1]
    assert daemon.tell("secrets", job="u0_with_key") == {"1": "first"}
    with sent(memfd(b"first")) as descriptors, pytest.raises(CallError, match="different"):
        await migrate(root, descriptors, "/dev/xvda2", more=token)
