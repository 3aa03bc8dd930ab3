# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's view of a service that goes away while a job is followed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dbus_next.aio import MessageBus

from tests.bus.client import ROOT, disconnect
from tests.bus.running import running_bus, running_daemon
from xen2kvmd.cli import service
from xen2kvmd.cli.commands import _report_of
from xen2kvmd.cli.exits import EX_UNREACHABLE, EX_USAGE, exit_code
from xen2kvmd.cli.service import CallFailed, Service, job_path

ID = "20260101-000000-00000001"


@asynccontextmanager
async def client(address: str) -> AsyncIterator[Service]:
    bus = await MessageBus(bus_address=address).connect()
    yield Service(bus, interactive=False)
    disconnect(bus)


async def test_a_service_that_comes_back_is_waited_for(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LOOK", 0.1)
    with running_bus() as (address, _):
        async with client(address) as caller:
            following = caller.follow(job_path(ID))
            with running_daemon(address, library, TEST_JOBS=ID):
                assert (await anext(following))["State"] == "queued"
            looking = asyncio.ensure_future(anext(following))
            await asyncio.sleep(0.5)
            with running_daemon(address, library, TEST_JOBS=ID):
                assert (await looking)["State"] == "queued"


async def test_one_that_does_not_come_back_is_no_failure_of_the_job(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LOOK", 0.1)
    monkeypatch.setattr(service, "PATIENCE", 1.0)
    with running_bus() as (address, _):
        async with client(address) as caller:
            following = caller.follow(job_path(ID))
            with running_daemon(address, library, TEST_JOBS=ID):
                await anext(following)
            begun = time.monotonic()
            with pytest.raises(CallFailed) as caught:
                await anext(following)
    assert time.monotonic() - begun >= 1.0
    assert exit_code(caught.value.name) == EX_UNREACHABLE
    assert "xen2kvm follow 20260101-000000-00000001" in caught.value.hint


async def test_a_job_that_never_was_is_told_at_once(library: str) -> None:
    with running_bus() as (address, _), running_daemon(address, library, TEST_JOBS=ID):
        async with client(address) as caller:
            with pytest.raises(CallFailed, match="no job 20251231-235959-ffffffff") as caught:
                await anext(caller.follow(job_path("20251231-235959-ffffffff")))
    assert caught.value.hint.endswith("xen2kvm jobs")


@pytest.mark.parametrize(
    "job", ["", "web1", "web1.xml", "/", f"{ROOT}/jobs/", "a\nb", "é", "..", ID + "0"]
)
def test_what_is_no_id_is_told_so(job: str) -> None:
    with pytest.raises(CallFailed, match="is no job's id") as caught:
        job_path(job)
    assert exit_code(caught.value.name) == EX_USAGE
    assert "\n" not in caught.value.message


def test_an_id_is_taken_in_each_form() -> None:
    assert job_path(ID) == job_path(ID.replace("_", "-")) == job_path(f"{ROOT}/jobs/{ID}")


def test_a_job_of_a_token_is_found_and_told_by_its_id() -> None:
    assert job_path("u0_web1") == job_path(f"{ROOT}/jobs/u0_web1") == f"{ROOT}/jobs/u0_web1"
    assert service._job_id(job_path("u1000_a_B")) == "u1000_a_B"


async def test_jobs_that_are_gone_are_left_out_of_a_list(library: str) -> None:
    with running_bus() as (address, _), running_daemon(address, library, TEST_JOBS=ID):
        async with client(address) as caller:
            jobs = await caller.all_properties([f"{ROOT}/jobs/none", *[job_path(ID)] * 200])
    assert [job["Id"] for job in jobs] == [ID] * 200


async def test_who_may_read_the_report_is_shown_what_was_printed(library: str) -> None:
    with running_bus() as (address, _), running_daemon(address, library, TEST_JOBS=ID) as daemon:
        async with client(address) as caller:
            report = json.dumps({"error_said": "Kernel panic", "findings": []})
            daemon.tell("write", job=ID, name="report.json", text=report)
            daemon.end(job_path(ID), "failed", error_name="VerifyFailed", error_message="No.")
            job = await caller.properties(job_path(ID))
            assert (await _report_of(caller, job_path(ID), job))["error_said"] == "Kernel panic"
            assert "Kernel panic" not in str(job)
