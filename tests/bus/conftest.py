# SPDX-License-Identifier: GPL-2.0-or-later
"""The bus, the service on either library, and callers of any user."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bus.client import Client
from tests.bus.running import POLKITD, Daemon, running_bus, running_daemon, running_polkit

HERE = Path(__file__).parent
NEEDS = {"bus_address", "library"}  # fixtures
LIBRARIES = ("dbus_next", "dbus_fast")
NEEDED = ("dbus-daemon", "setpriv", "unshare", "busctl", "gdbus")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [name for name in NEEDED if not shutil.which(name)]
    missing += [] if POLKITD.exists() else ["polkitd"]
    missing += [] if os.geteuid() == 0 else ["root"]
    for item in items:
        if item.path.parent == HERE and NEEDS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@pytest.fixture(scope="session")
def bus_address() -> Iterator[str]:
    with ExitStack() as stack:
        address, _ = stack.enter_context(running_bus())
        stack.enter_context(running_polkit(address))
        yield address


@pytest.fixture(scope="session", params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def daemon(bus_address: str, library: str) -> Iterator[Daemon]:
    with running_daemon(bus_address, library) as running:
        yield running


@pytest.fixture
async def connect(bus_address: str) -> AsyncIterator[Callable[[str], Awaitable[Client]]]:
    clients: list[Client] = []

    async def make(user: str = "root") -> Client:
        clients.append(await Client.connect(bus_address, user))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
async def root(daemon: Daemon, connect: Callable[[str], Awaitable[Client]]) -> Client:
    """Give a caller who is root, and listens."""
    client = await connect("root")
    await client.listen()
    return client
