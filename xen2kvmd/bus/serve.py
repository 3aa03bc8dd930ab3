# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of the service: connect, own the name, serve, drain, end."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from types import FrameType

from systemd.daemon import notify

from xen2kvmd.bus import contract
from xen2kvmd.bus.callers import Callers
from xen2kvmd.bus.condition import Condition
from xen2kvmd.bus.connection import Connection
from xen2kvmd.bus.feed import Feed
from xen2kvmd.bus.log_control import LogControl
from xen2kvmd.bus.manager import Manager
from xen2kvmd.bus.polkit import Authority
from xen2kvmd.bus.registry import Registry
from xen2kvmd.bus.service import Service
from xen2kvmd.errors import InvalidConfig

log = logging.getLogger(__name__)

OK, NAME_TAKEN, BUS_GONE = 0, 1, 70  # exit codes
End = Enum("End", ["TOLD", "IDLE", "BUS_GONE"])  # what ends us
CONNECT = 30  # seconds
GRACE = 2.0  # seconds for the calls under way when we are told to end


async def serve(
    jobs: Registry,
    *,
    max_active: int,
    reload: Callable[[], None],
    idle_timeout: float = 0.0,
    connect_timeout: int = CONNECT,
) -> int:
    """Serve until a signal, idleness or the loss of the bus ends it; return the exit code.

    reload reads the configuration anew, or raises InvalidConfig; SIGHUP asks for it, too. Times are
    in seconds; an idle_timeout of 0 means for ever. Raises ConnectionError.
    """
    told = asyncio.Event()
    condition = Condition(jobs)

    async def heed() -> None:
        _reload(reload, condition)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    document = await asyncio.to_thread(contract.find().read_bytes)
    connection = await _connect(connect_timeout)
    callers = Callers(connection)
    service = Service(
        connection,
        contract.load(document),
        root=contract.ROOT,
        authority=Authority(connection, callers),
        callers=callers,
    )
    feed = Feed(service, jobs, callers)
    manager = Manager(jobs, feed, max_active=max_active, reload=heed)
    service.export(manager)
    service.export(LogControl())
    connection.serve(service.take)  # calls wait until the jobs are there
    await callers.start()
    # The name is a lock too: a second daemon must not read and begin the jobs of the first.
    if not await connection.request_name(contract.NAME):
        log.error("Another xen2kvmd owns %s", contract.NAME)
        connection.close()
        return NAME_TAKEN
    condition.begin()
    gc.disable()  # the jobs that are made now stay: cycles need not be looked for among them
    await jobs.start()
    feed.start(manager)
    gc.freeze()
    gc.enable()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload_quietly, reload, condition)
    service.open.set()
    condition.ready()
    end = await _live(told, service, jobs, feed, condition, idle_timeout=idle_timeout)
    if end is not End.BUS_GONE:
        await connection.flush()
        connection.close()
    feed.close()
    await jobs.close()
    return BUS_GONE if end is End.BUS_GONE else OK


def _reload(reload: Callable[[], None], condition: Condition) -> None:
    """Read the configuration anew, and say to systemd and the journal if it has a mistake."""
    try:
        reload()
    except InvalidConfig as error:
        log.error("The configuration is as it was: %s", error)
        condition.configured(mistake=error.message)
        raise
    log.info("The configuration was read anew")
    condition.configured()


def _reload_quietly(reload: Callable[[], None], condition: Condition) -> None:
    with suppress(InvalidConfig):
        _reload(reload, condition)


async def _connect(seconds: int) -> Connection:
    """Connect, or raise ConnectionError.

    An alarm keeps the time: when the bus closes during the login, dbus-next turns in a loop of its
    own and never comes back to ours.
    """

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"The bus did not let us in within {seconds} seconds.")

    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        return await Connection.open()
    except Exception as error:
        raise ConnectionError(f"The system bus cannot be reached: {error!r}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


async def _live(
    told: asyncio.Event,
    service: Service,
    jobs: Registry,
    feed: Feed,
    condition: Condition,
    *,
    idle_timeout: float,
) -> End:
    """Serve until something ends us and the name is given up; no job is left that nobody has."""
    closed = asyncio.create_task(service.connection.closed())
    while True:
        end = await _until(told, closed, service, feed, idle_timeout=idle_timeout)
        if end is not End.IDLE:
            jobs.rest()
        condition.end()
        await _leave(service, end)
        if end is not End.IDLE or not feed.active or not await _stay(service.connection):
            closed.cancel()
            return end
        condition.go_on()


async def _until(
    told: asyncio.Event,
    closed: asyncio.Task[None],
    service: Service,
    feed: Feed,
    *,
    idle_timeout: float,
) -> End:
    """Wait for what ends us."""
    loop = asyncio.get_running_loop()
    asked = loop.create_task(told.wait())
    others = {asked, loop.create_task(_watchdog())}
    if idle_timeout > 0:
        others.add(loop.create_task(_idle(service, feed, timeout=idle_timeout)))
    await asyncio.wait({closed, *others}, return_when=asyncio.FIRST_COMPLETED)
    end = End.BUS_GONE if closed.done() else End.TOLD if asked.done() else End.IDLE
    for task in others:
        task.cancel()
    return end


async def _idle(service: Service, feed: Feed, *, timeout: float) -> None:  # noqa: ASYNC109
    """Return when there was no call and no job for some seconds."""
    seen = -1
    while seen != service.calls or service.busy or feed.active:
        seen = service.calls
        await asyncio.sleep(timeout)
    log.info("Nobody needs us")


async def _watchdog() -> None:
    """Tell systemd at half of its period that this loop turns; never returns."""
    period = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while period:
        notify("WATCHDOG=1")
        await asyncio.sleep(period)
    await asyncio.Event().wait()


async def _leave(service: Service, end: End) -> None:
    """Give the name up without losing a call.

    Those that came before we gave it up are answered, those after it start another service.
    """
    if end is End.BUS_GONE:
        await service.drain(grace=0.0)
        return
    await service.connection.release_name(contract.NAME)
    await service.drain(grace=GRACE)


async def _stay(connection: Connection) -> bool:
    """Tell whether we go on for a job that came while we gave the name up, and own it again.

    systemd has heard that we end, and would see to it: where the bus can start a service, it is
    asked for another one, which takes the job when we are gone.
    """
    if await connection.start_service(contract.NAME):
        return False
    return await connection.request_name(contract.NAME)
