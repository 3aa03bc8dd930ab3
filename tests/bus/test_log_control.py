# SPDX-License-Identifier: GPL-2.0-or-later
"""How much is logged can be changed while the service runs, by those who manage it."""

from collections.abc import Awaitable, Callable

import pytest
from dbus_next import Variant

from tests.bus.client import FDO_ERROR, NAME, CallError, Client
from xen2kvmd.bus.contract import LOG_CONTROL
from xen2kvmd.bus.log_control import LogControl
from xen2kvmd.bus.standard import PROPERTIES

pytestmark = pytest.mark.slow

Connect = Callable[[str], Awaitable[Client]]


async def put(client: Client, name: str, value: Variant) -> None:
    body = (LOG_CONTROL, name, value)
    await client.call("Set", "ssv", *body, path=LogControl.path, interface=PROPERTIES)


async def level(client: Client) -> str:
    body = (LOG_CONTROL, "LogLevel")
    found = await client.call("Get", "ss", *body, path=LogControl.path, interface=PROPERTIES)
    return str(found[0].value)


async def test_level_is_told_and_set(root: Client) -> None:
    before = await level(root)
    for name, told in (("debug", "debug"), ("notice", "info"), ("err", "err"), ("alert", "crit")):
        await put(root, "LogLevel", Variant("s", name))
        assert await level(root) == told
    await put(root, "LogLevel", Variant("s", before))
    await put(root, "LogTarget", Variant("s", "console"))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("LogLevel", Variant("s", "loud"), "InvalidArgs"),
        ("LogLevel", Variant("u", 7), "InvalidArgs"),
        ("LogTarget", Variant("s", "kmsg"), "InvalidArgs"),
        ("SyslogIdentifier", Variant("s", "x"), "PropertyReadOnly"),
        ("Nothing", Variant("s", "x"), "UnknownProperty"),
    ],
)
async def test_what_cannot_be_is_refused(
    root: Client, name: str, value: Variant, error: str
) -> None:
    before = await level(root)
    with pytest.raises(CallError, match=FDO_ERROR + error):
        await put(root, name, value)
    assert await level(root) == before


async def test_not_everybody_may(root: Client, connect: Connect) -> None:
    before = await level(root)
    refused = await connect("sys")
    for name, value in (("LogLevel", "debug"), ("LogTarget", "console")):
        with pytest.raises(CallError, match="AccessDenied"):
            await put(refused, name, Variant("s", value))
    assert await level(refused) == before


async def test_it_is_no_object_of_the_manager(root: Client) -> None:
    (found,) = await root.call("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager")
    assert LogControl.path not in found
    assert NAME.replace(".", "/") not in LogControl.path
