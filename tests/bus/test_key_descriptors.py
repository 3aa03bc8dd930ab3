# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys that callers hand over: read from memfds, and not one descriptor is left."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from dbus_next import Variant

from tests.bus.client import ERROR, FDO, FDO_ERROR, JOB, NONE, SOURCE, CallError, Client, Options
from tests.bus.running import Daemon, id_of, running_bus, running_daemon
from tests.bus.test_polkit import SilentPolkit
from xen2kvmd.bus import polkit

Connect = Callable[[str], Awaitable[Client]]

EMPTY, LONG = b"", b"x" * 4097


def memfd(content: bytes) -> int:
    descriptor = os.memfd_create("key")
    os.write(descriptor, content)
    return descriptor


def deleted() -> int:
    """Return one of a file of tmpfs, which can only be read."""
    path = Path(f"/dev/shm/xen2kvm-test.{os.getpid()}")
    path.write_bytes(b"of a file that is gone")
    descriptor = os.open(path, os.O_RDONLY)
    path.unlink()
    return descriptor


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


async def test_keys_become_secrets_of_the_job(root: Client, daemon: Daemon) -> None:
    """Where a descriptor stands in its file is its sender's affair: memfds are at their end."""
    before = daemon.tell("stats")["descriptors"]
    uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    with sent(memfd("geheim-ü\n".encode()), deleted(), memfd(b"\n\n")) as descriptors:
        credential = {"keys": Variant("as", ["all:credential:vm1"])}
        selectors = ("all", "/dev/xvdb", uuid)
        job = await migrate(root, descriptors, *selectors, more=credential)

    assert daemon.tell("secrets", job=id_of(job)) == {
        "1": "geheim-ü",
        "2": "of a file that is gone",
        "3": "\n",
    }
    spec = daemon.tell("spec", job=id_of(job))
    assert spec["keys"] == [
        {"selector": "all", "file": "", "credential": "vm1"},
        {"selector": "all", "file": "1", "credential": ""},
        {"selector": "/dev/xvdb", "file": "2", "credential": ""},
        {"selector": uuid, "file": "3", "credential": ""},
    ]
    await root.heard("JobNew")
    objects = await root.call("GetManagedObjects", interface=FDO + ".ObjectManager")
    for told in (str([signal.body for signal in root.signals]), str(objects), daemon.log):
        assert "geheim" not in told
    assert id_of(job) in str([signal.body for signal in root.signals])
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


def _hole() -> int:
    descriptor = memfd(EMPTY)
    os.truncate(descriptor, 1 << 40)
    return descriptor


def _to_write() -> int:
    with sent(memfd(b"hunter2")) as (descriptor,):
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)


def _pipe() -> int:
    ours, theirs = os.pipe()
    os.write(theirs, b"hunter2")
    os.close(theirs)
    return ours


HOSTILE: dict[str, tuple[Callable[[Path], int], str]] = {
    "empty": (lambda _: memfd(EMPTY), "no passphrase"),
    "newline": (lambda _: memfd(b"\n"), "no passphrase"),
    "long": (lambda _: memfd(LONG), "no passphrase"),
    "binary": (lambda _: memfd(b"a\0b"), "no passphrase"),
    "no text": (lambda _: memfd(b"\xff\xfe"), "no passphrase"),
    "hole": (lambda _: _hole(), "no passphrase"),
    "to write": (lambda _: _to_write(), "cannot be read: Bad file"),
    "file": (lambda _: os.open(__file__, os.O_RDONLY), "no memfd"),
    "folder": (lambda folder: os.open(folder, os.O_RDONLY), "no memfd"),
    "folder of tmpfs": (lambda _: os.open("/dev/shm", os.O_RDONLY), "no memfd"),
    "pipe": (lambda _: _pipe(), "no memfd"),
    "socket": (lambda _: socket.socket(socket.AF_UNIX).detach(), "no memfd"),
    "event": (lambda _: os.eventfd(1), "no memfd"),
    "zero": (lambda _: os.open("/dev/zero", os.O_RDONLY), "no memfd"),
    "memory": (lambda _: os.open("/proc/self/mem", os.O_RDONLY), "no memfd"),
    "path": (lambda _: os.open("/etc/passwd", os.O_PATH), "no memfd"),
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
