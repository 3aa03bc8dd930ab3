# SPDX-License-Identifier: GPL-2.0-or-later
"""How the service begins and ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from dbus_next import Message

from tests.bus.client import ERROR, FDO, NAME, ROOT, CallError, Client
from tests.bus.running import CHECKOUT, has_owner, running_bus, running_daemon, wait_until

PING = ("Ping", FDO + ".Peer")


async def test_calls_under_way_are_answered_at_the_end(library: str) -> None:
    """Calls that reached us before we gave up the name, but were not read yet, are answered."""
    with running_bus() as (address, _), running_daemon(address, library) as daemon:
        root = await Client.connect(address)
        await root.call("ListJobs", "a{sv}", {})

        daemon.process.send_signal(signal.SIGSTOP)
        calls = [asyncio.ensure_future(root.start()) for _ in range(20)]
        calls += [asyncio.ensure_future(root.start(vm="slow"))]
        await asyncio.sleep(0.2)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)

        assert all(path.startswith(ROOT) for path in await asyncio.gather(*calls))
        wait_until(lambda: daemon.process.poll() is not None)
        assert daemon.process.returncode == 0
        root.close()


async def test_who_ends_takes_no_new_calls(library: str) -> None:
    """The next service gets them, while this one still answers what it has."""
    with running_bus() as (address, _), running_daemon(address, library) as daemon:
        root = await Client.connect(address)
        await root.call("ListJobs", "a{sv}", {})
        under_way = asyncio.ensure_future(root.start(vm="slow"))
        await root.call("ListJobs", "a{sv}", {})

        daemon.process.terminate()
        while has_owner(address, NAME):
            await asyncio.sleep(0.01)

        assert not under_way.done()
        assert (await under_way).startswith(ROOT)
        root.close()


async def test_who_waits_for_a_job_is_told_of_the_end(library: str) -> None:
    with running_bus() as (address, _), running_daemon(address, library) as daemon:
        root = await Client.connect(address)
        job = await root.start()
        waiting = asyncio.ensure_future(root.job(job, "Wait"))
        await root.get(job, "State")

        daemon.process.terminate()
        with pytest.raises(CallError) as caught:
            await waiting
        assert caught.value.name == ERROR + "ShuttingDown"
        root.close()


def test_the_end_of_the_bus_ends_us(library: str) -> None:
    with running_bus() as (address, bus), running_daemon(address, library) as daemon:
        bus.kill()
        wait_until(lambda: daemon.process.poll() is not None)
        assert daemon.process.returncode == 70


def test_a_second_service_gives_way(library: str) -> None:
    with (
        running_bus() as (address, _),
        running_daemon(address, library) as first,
        running_daemon(address, library, wait=False) as second,
    ):
        wait_until(lambda: second.process.poll() is not None)
        assert second.process.returncode == 1
        assert first.tell("library") == library


async def test_calls_wait_until_the_jobs_are_read(library: str) -> None:
    with (
        running_bus() as (address, _),
        running_daemon(address, library, TEST_SLOW_START="0.5", TEST_JOBS="old1 old2"),
    ):
        root = await Client.connect(address)
        (jobs,) = await root.call("ListJobs", "a{sv}", {})
        assert [job[1] for job in jobs] == ["old1", "old2"]
        assert await root.call("GetJob", "s", "old1") == [f"{ROOT}/jobs/old1"]
        root.close()


def test_who_is_told_to_end_while_it_begins_ends_well(library: str) -> None:
    with (
        running_bus() as (address, _),
        running_daemon(address, library, TEST_SLOW_START="0.5") as daemon,
    ):
        daemon.process.terminate()
        assert daemon.process.wait(5) == 0


async def test_idle_ends_us_but_not_with_a_job(library: str) -> None:
    with (
        running_bus() as (address, _),
        running_daemon(address, library, TEST_IDLE="0.2") as daemon,
    ):
        root = await Client.connect(address)
        job = await root.start()
        await asyncio.sleep(0.7)
        assert daemon.process.poll() is None

        daemon.end(job)
        wait_until(lambda: daemon.process.poll() is not None, seconds=3)
        assert daemon.process.returncode == 0
        root.close()


@pytest.mark.parametrize("activatable", [False, True])
async def test_job_that_comes_when_we_leave_for_idleness_is_not_lost(
    library: str, *, activatable: bool
) -> None:
    """We go on for it, or the bus starts the next service at once, which takes it."""
    with (
        tempfile.TemporaryDirectory() as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        running_bus(service(name, library) if activatable else "") as (address, bus),
    ):
        systemd.bind(f"{name}/notify")
        with running_daemon(
            address, library, TEST_IDLE="1", NOTIFY_SOCKET=f"{name}/notify"
        ) as daemon:
            root = await Client.connect(address)
            await root.call("ListJobs", "a{sv}", {})
            await asyncio.sleep(
                0.2
            )  # the bus has nothing to do: it reads the call before our leave
            bus.send_signal(signal.SIGSTOP)
            begun = asyncio.ensure_future(root.start())
            await asyncio.to_thread(hear_that_it_ends, systemd)
            bus.send_signal(signal.SIGCONT)

            job = await begun
            if activatable:
                wait_until(lambda: daemon.process.poll() is not None)
                assert daemon.process.returncode == 0
            wait_until(lambda: has_owner(address, NAME))  # and nobody has called it
            if not activatable:
                assert await root.get(job, "State") == "queued"
                daemon.end(job)
                wait_until(lambda: daemon.process.poll() is not None, seconds=3)
            root.close()


def hear_that_it_ends(systemd: socket.socket) -> None:
    systemd.settimeout(10)
    while not systemd.recv(1000).startswith(b"STOPPING=1"):
        pass


async def test_no_call_is_lost_to_idleness(library: str) -> None:
    """The bus starts us again and again; callers see nothing of it."""
    with tempfile.TemporaryDirectory() as name, running_bus(service(name, library)) as (address, _):
        root = await Client.connect(address)
        await root.call(
            "AddMatch", "s", f"member='NameOwnerChanged',arg0='{NAME}'",
            path="/org/freedesktop/DBus", interface=FDO, destination=FDO,
        )  # fmt: skip
        ends: list[Message] = []

        def hear(message: Message) -> None:
            if message.member == "NameOwnerChanged" and not message.body[2]:
                ends.append(message)

        root.bus.add_message_handler(hear)
        for pause in (0.045, 0.05, 0.055, 0.06, 0.065, 0.1, 0.11):
            for _ in range(2):
                assert len(await root.call("ListJobs", "a{sv}", {})) == 1
                await asyncio.sleep(pause)
        assert len(ends) > 3
        root.close()


def service(name: str, library: str) -> str:
    """Let the bus start our test service; return what its configuration says of it."""
    folder = Path(name)
    folder.chmod(0o755)
    script = folder / "start"
    script.write_text(
        f"#!/bin/sh\ncd {CHECKOUT}\nexport TEST_IDLE=0.05 XEN2KVM_DBUS_LIBRARY={library}"
        f" DBUS_SYSTEM_BUS_ADDRESS=$DBUS_STARTER_ADDRESS\n"
        f"exec {sys.executable} -m tests.bus.daemon\n"
    )
    script.chmod(0o755)
    text = (CHECKOUT / "dbus/org.xen2kvm.Migrator1.service").read_text()
    (folder / "org.xen2kvm.Migrator1.service").write_text(
        text.replace("/usr/bin/xen2kvmd", str(script))
    )
    return f"<servicedir>{folder}</servicedir>"


def test_a_bus_that_closes_in_the_login_is_given_up(library: str) -> None:
    """dbus-next alone would turn in a loop for ever."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as fake:
        fake.bind(f"{name}/bus")
        fake.listen()
        address = f"unix:path={name}/bus"
        with running_daemon(address, library, wait=False, TEST_CONNECT_TIMEOUT="1") as daemon:
            fake.settimeout(10)
            connection, _ = fake.accept()
            assert connection.recv(100)  # in the login
            connection.shutdown(socket.SHUT_WR)
            wait_until(lambda: daemon.process.poll() is not None, seconds=5)
            connection.close()
            assert "ConnectionError: The system bus cannot be reached" in daemon.log


def test_systemd_is_told_how_we_are(library: str) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        running_bus() as (address, _),
    ):
        systemd.bind(f"{name}/notify")
        systemd.settimeout(5)
        where = f"{name}/notify"
        with running_daemon(
            address, library, NOTIFY_SOCKET=where, WATCHDOG_USEC="400000"
        ) as daemon:
            assert systemd.recv(1000) == b"STATUS=Reading the jobs"
            assert systemd.recv(1000) == b"READY=1\nSTATUS=Ready"
            for _ in range(3):
                began = time.monotonic()
                assert systemd.recv(1000) == b"WATCHDOG=1"
                assert time.monotonic() - began < 0.4
            daemon.tell("stall", seconds=1.0)  # in the loop: nothing may ping meanwhile
            systemd.settimeout(0)
            meanwhile = []
            with suppress(BlockingIOError):
                while True:
                    meanwhile.append(systemd.recv(1000))
            systemd.settimeout(5)
            assert len(meanwhile) <= 2
            daemon.process.terminate()
            while not (said := systemd.recv(1000)).startswith(b"STOPPING=1"):
                assert said == b"WATCHDOG=1"


# --- the real program -----------------------------------------------------------------------------


def start_program(folder: Path, address: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "xen2kvmd", "--state-dir", folder / "state",
         "--run-dir", folder / "run", "--idle-timeout", "0"],
        cwd=CHECKOUT,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
        stderr=subprocess.PIPE,
    )  # fmt: skip


def test_the_program_serves_and_ends(tmp_path: Path) -> None:
    with running_bus() as (address, _), start_program(tmp_path, address) as program:
        wait_until(lambda: has_owner(address, NAME) or program.poll() is not None)
        program.terminate()
        assert program.wait(5) == 0
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_the_program_without_a_bus_says_so(tmp_path: Path) -> None:
    with start_program(tmp_path, f"unix:path={tmp_path}/none") as program:
        _, said = program.communicate(timeout=10)
    assert program.returncode == 70
    assert b"The system bus cannot be reached" in said
    assert b"Traceback" not in said
