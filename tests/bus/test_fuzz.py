# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever a caller sends, the answer is a reply or an error of ours; a crowd gets its answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dbus_next import Variant
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.bus.client import ERROR, FDO, FDO_ERROR, SOURCE, CallError, Client
from tests.bus.prompt import answered_promptly
from tests.bus.running import Daemon
from xen2kvmd.bus.option_table import OPTIONS
from xen2kvmd.errors import BY_NAME
from xen2kvmd.sources import FORMATS

TESTS = Path(__file__).parent.parent
DOCUMENTS = {
    "libvirtxml": "domain/whole/*/source.xml",
    "xl": "sources/xl/*.cfg",
    "xl-json": "sources/xl/*.json",
}
CROWD = 100  # callers; the bus lets a user have 256 connections

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
VARIANTS = st.one_of(
    st.builds(Variant, st.just("s"), TEXT),
    st.builds(Variant, st.just("b"), st.booleans()),
    st.builds(Variant, st.just("u"), st.integers(0, (1 << 32) - 1)),
    st.builds(Variant, st.just("t"), st.integers(0, (1 << 64) - 1)),
    st.builds(Variant, st.just("d"), st.floats()),
    st.builds(Variant, st.just("as"), st.lists(TEXT, max_size=4)),
    st.builds(Variant, st.just("ay"), st.binary(max_size=20)),
    st.builds(Variant, st.just("a{ss}"), st.dictionaries(TEXT, TEXT, max_size=3)),
    st.builds(
        Variant,
        st.just("a(sh)"),
        st.lists(st.tuples(TEXT, st.integers(0, 20)).map(list), max_size=3),
    ),
    st.builds(Variant, st.just("v"), st.builds(Variant, st.just("s"), TEXT)),
)
KEYS = st.one_of(st.sampled_from(sorted({option.key for option in OPTIONS})), TEXT)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return values of a strategy, the same ones each time."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


async def answer(client: Client, member: str, signature: str, *body: object) -> str:
    """Return the error's name, "" for a reply. It is one that the API names, and no traceback."""
    try:
        await client.call(member, signature, *body, timeout=60)
    except CallError as error:
        failed = error
    else:
        return ""
    short = str(failed.name).removeprefix(ERROR).removeprefix(FDO_ERROR)
    assert short != "Internal", failed
    assert short in {*BY_NAME, "InvalidArgs"}, failed
    assert "Traceback" not in failed.text
    return short


async def convert(client: Client, text: str, form: str = "libvirtxml") -> str:
    return await answer(client, "ConvertXml", "ssa{sv}", form, text, {})


async def test_options_of_any_kind_are_read_or_refused(
    root: Client, daemon: Daemon, bus_address: str
) -> None:
    before = daemon.tell("stats")["descriptors"]
    seen = set()
    with answered_promptly(bus_address):
        for options in drawn(st.dictionaries(KEYS, VARIANTS, max_size=4), 400):
            for member in ("Inspect", "Plan"):
                seen.add(await answer(root, member, "ssa{sv}", SOURCE, "web1", options))
            seen.add(await answer(root, "ListJobs", "a{sv}", options))
    assert {"", "InvalidOption", "InvalidArgs"} <= seen
    assert daemon.tell("stats")["descriptors"] <= before + 2


def damaged(text: str) -> st.SearchStrategy[str]:
    """Return a strategy of documents with a piece gone, doubled, or something else in its place."""
    pieces = st.tuples(
        st.integers(0, len(text)), st.integers(0, 60), st.one_of(TEXT, st.just(text[50:90]))
    )
    return pieces.map(lambda piece: text[: piece[0]] + piece[2] + text[piece[0] + piece[1] :])


def documents(form: str) -> Iterator[str]:
    for path in sorted(TESTS.glob(DOCUMENTS[form]))[:2]:
        yield from drawn(damaged(path.read_text()), 8)


@pytest.mark.parametrize("form", FORMATS)
async def test_documents_of_any_kind_are_converted_or_refused(
    root: Client, bus_address: str, form: str
) -> None:
    refused = "InvalidXml" if form == "libvirtxml" else "InvalidSource"
    with answered_promptly(bus_address):
        seen = {await convert(root, text, form) for text in documents(form)}
    assert {"", refused} <= seen


@pytest.mark.parametrize("form", FORMATS)
async def test_documents_of_guests_begin_jobs_or_are_refused(
    root: Client, bus_address: str, form: str
) -> None:
    seen = set()
    with answered_promptly(bus_address):
        for text in documents(form):
            options = {"document": Variant("s", text)}
            seen.add(await answer(root, "Inspect", "ssa{sv}", f"{form}:", "", options))
    assert {"", "InvalidXml" if form == "libvirtxml" else "InvalidSource"} <= seen


async def test_sources_of_any_kind_are_taken_or_refused(root: Client) -> None:
    for source, vm in drawn(st.tuples(TEXT, TEXT), 100):
        await answer(root, "Inspect", "ssa{sv}", source, vm, {})


async def test_a_crowd_is_answered(
    daemon: Daemon, root: Client, connect: Callable[[str], Awaitable[Client]]
) -> None:
    job = await root.start()
    await root.call("Ping", interface=FDO + ".Peer")
    before = daemon.tell("stats")["descriptors"]
    text = next(iter(sorted(TESTS.glob(DOCUMENTS["libvirtxml"])))).read_text()

    async def caller(number: int) -> None:
        client = await connect(("mail", "news", "games")[number % 3])
        assert await convert(client, text) in ("", "LimitExceeded")  # so many a user at once
        for _ in range(5):
            await client.call("ListJobs", "a{sv}", {}, timeout=60)
            assert await client.get(job, "State") == "queued"
        client.close()

    await asyncio.gather(*map(caller, range(CROWD)))
    assert daemon.tell("stats")["descriptors"] <= before
    daemon.end(job)
