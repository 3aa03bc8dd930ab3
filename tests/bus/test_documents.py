# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents are converted; those that take long hold up nobody but their own caller."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from dbus_next import Variant

from tests.bus.client import ERROR, FDO_ERROR, CallError, Client
from tests.bus.running import Daemon, id_of
from tests.bus.test_deaf_callers import answered
from xen2kvmd.bus import documents
from xen2kvmd.bus.documents import Documents
from xen2kvmd.errors import InvalidXml, LimitExceeded
from xen2kvmd.model import Target

Connect = Callable[[str], Awaitable[Client]]

DISK = "<disk type='file'><source file='/d%d'/><target dev='sd%s'/></disk>"
XML = "<domain type='xen'><name>web1</name><memory>1</memory><os><type>hvm</type></os>%s</domain>"

GUEST = """<domain type='xen'><name>web1</name><memory>1024</memory>
<os><type arch='x86_64' machine='xenpv'>linux</type><kernel>/boot/vmlinuz</kernel></os>
<devices><interface type='bridge'><source bridge='xenbr0'/></interface></devices></domain>"""


def with_disks(count: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [a + b + c for a in letters for b in letters for c in letters]
    disks = "".join(DISK % (number, names[number]) for number in range(count))
    return XML % f"<devices>{disks}</devices>"


async def slowest_while(root: Client, work: Awaitable[object]) -> float:
    """Return the seconds that the slowest Ping took while this was done."""
    working = asyncio.ensure_future(work)
    slowest = 0.0
    while not working.done():
        slowest = max(slowest, await answered(root))
        await asyncio.sleep(0.02)
    await working
    return slowest


async def test_nobody_waits_for_what_is_read_before_authorisation(
    root: Client, daemon: Daemon, connect: Connect
) -> None:
    mail = await connect("mail")
    document = Variant("s", with_disks(5000))

    async def ask() -> None:
        with pytest.raises(CallError) as caught:
            await mail.call(
                "Plan", "ssa{sv}", "libvirtxml:/x", "", {"document": document}, timeout=60
            )
        assert caught.value.name == FDO_ERROR + "InteractiveAuthorizationRequired"

    assert await slowest_while(root, ask()) < 0.2


async def test_conversions_hold_up_no_job(root: Client, daemon: Daemon, connect: Connect) -> None:
    mail = await connect("mail")
    document = with_disks(600)
    converting = [
        asyncio.ensure_future(
            mail.call("ConvertXml", "ssa{sv}", "libvirtxml", document, {}, timeout=60)
        )
        for _ in range(3)
    ]

    async def others() -> None:
        job = await root.start()
        daemon.tell("write", job=id_of(job), name="log", text="1 6 a")
        await root.job(job, "GetLog", "tua{sv}", 0, 0, {})
        await root.call("ConvertXml", "ssa{sv}", "libvirtxml", XML % "", {})

    assert await slowest_while(root, others()) < 1.0
    assert not all(task.done() for task in converting)
    await asyncio.gather(*converting, return_exceptions=True)  # on a busy host it is too much


async def test_a_user_has_so_many_documents_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "WAITING_PER_USER", 2)
    reader = Documents()

    async def convert(uid: int) -> object:
        return await reader.convert("libvirtxml", XML % "", Target(), uid=uid)

    found = await asyncio.gather(
        convert(8), convert(8), convert(8), convert(9), return_exceptions=True
    )
    assert [isinstance(one, LimitExceeded) for one in found] == [False, False, True, False]
    await convert(8)


async def test_a_document_has_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PATIENCE", 0.01)
    with pytest.raises(LimitExceeded, match=r"within 0\.01 seconds"):
        await Documents().convert("libvirtxml", XML % "", Target(), uid=8)


async def test_a_reader_that_breaks_tells_its_caller_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho secret >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(documents, "_ARGV", (str(broken),))
    with pytest.raises(RuntimeError, match="secret"):  # which the door answers with Internal
        await Documents().convert("libvirtxml", XML % "", Target(), uid=8)


async def test_what_is_wrong_with_a_document_comes_back() -> None:
    with pytest.raises(InvalidXml) as caught:
        await Documents().convert("libvirtxml", "<domain", Target(), uid=8)
    assert "is not XML" in caught.value.message
    assert caught.value.hint


async def test_xml_is_converted(root: Client) -> None:
    options = {
        "name": Variant("s", "web2"),
        "network-map": Variant("as", ["any=network:default"]),
        "mac": Variant("s", "new"),
    }
    domain, findings = await root.call("ConvertXml", "ssa{sv}", "libvirtxml", GUEST, options)

    assert "<name>web2</name>" in domain
    assert 'network="default"' in domain
    assert 'type="kvm"' in domain
    assert all({"id", "severity", "message", "hint", "place"} == set(one) for one in findings)


@pytest.mark.parametrize(
    ("form", "config", "error"),
    [
        ("vmx", GUEST, "Unsupported"),
        ("libvirtxml", "<domain", "InvalidXml"),
        ("libvirtxml", "<!DOCTYPE a [<!ENTITY b SYSTEM '/etc/shadow'>]><a>&b;</a>", "InvalidXml"),
        ("libvirtxml", " " * ((1 << 20) + 1), "InvalidXml"),
    ],
)
async def test_xml_that_cannot_be_converted_says_why(
    root: Client, form: str, config: str, error: str
) -> None:
    with pytest.raises(CallError) as caught:
        await root.call("ConvertXml", "ssa{sv}", form, config, {})
    assert caught.value.name == ERROR + error
