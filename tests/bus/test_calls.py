# SPDX-License-Identifier: GPL-2.0-or-later
"""What the methods do, for root, who may everything."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from dbus_next import Variant

from tests.bus.client import ERROR, JOB, PROPERTIES, SOURCE, CallError, Client
from tests.bus.running import Daemon, id_of

Connect = Callable[[str], Awaitable[Client]]


async def test_options_become_the_request(root: Client, daemon: Daemon) -> None:
    options = {
        "name": Variant("s", "web2"),
        "pool": Variant("s", "fast"),
        "path-map": Variant("as", ["/srv=ssh://root@xen1/srv"]),
        "disk-pool": Variant("as", ["xvdb=slow"]),
        "format": Variant("s", "raw"), "mac": Variant("s", "new"),
        "start": Variant("b", value=False), "waive": Variant("as", ["no-agent"]),
        "network-map": Variant("as", ["xenbr0=bridge:br0"]),
        "boot-timeout": Variant("u", 60), "shutdown-mode": Variant("s", "destroy"),
        "plan-digest": Variant("s", "abc"),
        "keys": Variant("as", ["all:credential:web1"]),
        "engine": Variant("s", "v2v"), "packages": Variant("as", ["/srv/k.rpm"]),
    }  # fmt: skip
    job = await root.start(options=options)

    spec = daemon.tell("spec", job=id_of(job))

    assert spec == {
        "operation": "migrate", "source": SOURCE, "vm": "web1", "document": "", "name": "web2",
        "target": "", "pool": "fast", "disk_pools": [["xvdb", "slow"]], "directory": "",
        "in_place": False, "path_map": [{"old": "/srv", "host": "ssh://root@xen1", "new": "/srv"}],
        "format": "raw", "allocation": "sparse", "nfs_export": "", "overwrite": False,
        "direct_kernel_boot": False, "cluster_size": 0, "compress": False, "rate_limit": 0,
        "nics": [
            {"match": "bridge", "old": "xenbr0", "kind": "bridge", "new": "br0"},
            {"match": "network", "old": "xenbr0", "kind": "bridge", "new": "br0"},
        ],
        "mac": "new", "waive": ["no-agent"], "hooks": [], "plan_digest": "abc",
        "start": False, "verify": True,
        "boot_timeout": 60, "shutdown_mode": "destroy", "shutdown_timeout": 300,
        "engine": "v2v", "virtio_win": "", "vmdp": "", "root": "", "not_before": 0,
        "finish_by": 0, "hold": False, "resume": False, "autostart": None, "backup_disks": "",
        "backup_pool": "",
        "keys": [{"selector": "all", "file": "", "credential": "web1"}],
        "packages": ["/srv/k.rpm"], "guest_repositories": False, "guest_agent": False,
    }  # fmt: skip


@pytest.mark.parametrize("operation", ["Inspect", "Plan", "Migrate"])
async def test_a_job_shows_what_was_asked(root: Client, operation: str) -> None:
    job = await root.start(operation, "db01")

    (shown,) = await root.call(
        "GetAll", "s", JOB, path=job, interface="org.freedesktop.DBus.Properties"
    )

    values = {name: value.value for name, value in shown.items()}
    assert values["Id"] == id_of(job)
    assert (values["Operation"], values["Vm"]) == (operation.lower(), "db01")
    assert (values["Source"], values["OwnerUid"], values["State"]) == (SOURCE, 0, "queued")


async def test_user_and_query_of_a_source_stay_private(root: Client, daemon: Daemon) -> None:
    source = "xen+ssh://admin@xenhost/?keyfile=/root/.ssh/id"
    (job,) = await root.call("Inspect", "ssa{sv}", source, "web1", {})

    assert await root.get(job, "Source") == "xen+ssh://xenhost/"
    assert daemon.tell("spec", job=id_of(job))["source"] == source


@pytest.mark.parametrize("source", ["/srv/web1.xml", "", "xen://u:pw@h/", "a:b\nc", "http://[/"])
async def test_a_bad_source_is_refused(root: Client, source: str) -> None:
    with pytest.raises(CallError) as caught:
        await root.call("Inspect", "ssa{sv}", source, "web1", {})

    assert caught.value.name == ERROR + "InvalidSource"
    assert "pw" not in caught.value.text


@pytest.mark.parametrize("vm", ["a/b", "a\nb", "..", "x" * 256, "\u202eevil"])
async def test_a_bad_name_is_refused(root: Client, vm: str) -> None:
    with pytest.raises(CallError) as caught:
        await root.start(vm=vm)

    assert caught.value.name == ERROR + "InvalidName"


async def test_the_same_token_is_the_same_job(root: Client) -> None:
    token = {"job-token": Variant("s", "once")}
    first = await root.start(options=token)
    again = await root.start(options=token)

    assert first == again
    assert first.endswith("/jobs/u0_once")
    assert root.members().count("JobNew") == 1


async def test_the_same_token_at_the_same_time_is_the_same_job(root: Client) -> None:
    token = {"job-token": Variant("s", "together")}
    made = await asyncio.gather(*(root.start(vm="slow", options=token) for _ in range(5)))

    assert len(set(made)) == 1


async def test_a_token_of_another_call_is_refused(root: Client) -> None:
    token = {"job-token": Variant("s", "used")}
    await root.start(options=token)

    for operation, vm in (("Migrate", "web2"), ("Plan", "web1")):
        with pytest.raises(CallError) as caught:
            await root.start(operation, vm, token)
        assert caught.value.name == ERROR + "InvalidOption"


async def test_a_token_is_its_users_own(daemon: Daemon, root: Client, connect: Connect) -> None:
    other = await connect("games")
    token = {"job-token": Variant("s", "mine")}

    assert await root.start(options=token) != await other.start(options=token)


async def test_a_user_has_so_many_jobs(daemon: Daemon, connect: Connect) -> None:
    user = await connect("games")
    (listed,) = await user.call("ListJobs", "a{sv}", {"owner": Variant("u", 5)})
    for path, *_ in listed:
        if await user.get(path, "State") == "queued":
            daemon.end(path)

    jobs = [await user.start() for _ in range(16)]
    with pytest.raises(CallError) as caught:
        await user.start()
    assert caught.value.name == ERROR + "LimitExceeded"

    for job in jobs:
        daemon.end(job)
    daemon.end(await user.start())


async def test_jobs_are_listed_and_found(root: Client, daemon: Daemon) -> None:
    first, second = await root.start("Inspect", "list1"), await root.start("Plan", "list2")
    daemon.end(second)

    async def found(**options: Variant) -> list[str]:
        (jobs,) = await root.call("ListJobs", "a{sv}", options)
        return [vm for _, _, _, vm, *_ in jobs if vm in ("list1", "list2")]

    assert await found() == ["list1", "list2"]
    assert await found(state=Variant("as", ["queued", "running"])) == ["list1"]
    assert await found(operation=Variant("s", "plan")) == ["list2"]
    assert await found(owner=Variant("u", 4711)) == []
    assert await root.call("GetJob", "s", id_of(first)) == [first]


async def test_an_unknown_job_is_not_found(root: Client) -> None:
    for member, signature, *body in (("GetJob", "s", "x"), ("CancelJob", "sa{sv}", "x", {})):
        with pytest.raises(CallError) as caught:
            await root.call(str(member), str(signature), *body)
        assert caught.value.name == ERROR + "JobNotFound"


@pytest.mark.parametrize("through_manager", [True, False])
async def test_cancel_is_heeded_once(
    root: Client, daemon: Daemon, *, through_manager: bool
) -> None:
    job = await root.start()
    for _ in range(2):
        if through_manager:
            await root.call("CancelJob", "sa{sv}", id_of(job), {})
        else:
            await root.job(job, "Cancel")
    assert await root.get(job, "State") == "cancelling"

    daemon.end(job, "cancelled")
    with pytest.raises(CallError) as caught:
        await root.job(job, "Cancel")
    assert caught.value.name == ERROR + "NotCancellable"


async def test_a_job_that_runs_is_not_removed(root: Client) -> None:
    job = await root.start()
    with pytest.raises(CallError) as caught:
        await root.job(job, "Remove")
    assert caught.value.name == ERROR + "NotFinished"


async def test_a_job_that_is_needed_is_removed_with_force_alone(
    root: Client, daemon: Daemon
) -> None:
    job = await root.start()
    daemon.events(job, {"type": "result", "key": "kept", "value": "yes"})
    daemon.end(job, "succeeded")
    with pytest.raises(CallError) as caught:
        await root.job(job, "Remove")
    assert caught.value.name == ERROR + "NotSettled"
    await root.job(job, "Remove", "a{sv}", {"force": Variant("b", value=True)})


async def test_wait_waits(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    waiting = asyncio.ensure_future(root.job(job, "Wait"))
    await asyncio.sleep(0.1)
    assert not waiting.done()

    daemon.end(job, "failed", error_name="VmRunning", error_message="It runs.")

    assert await waiting == ["failed", "VmRunning", "It runs."]
    assert await root.job(job, "Wait") == ["failed", "VmRunning", "It runs."]


async def test_nobody_waits_for_one_who_left(
    root: Client, daemon: Daemon, connect: Connect
) -> None:
    job = await root.start()
    other = await connect("mail")
    before = daemon.tell("stats")["tasks"]
    waiting = [asyncio.ensure_future(other.job(job, "Wait")) for _ in range(50)]
    async with asyncio.timeout(5):
        while daemon.tell("stats")["tasks"] < before + 50:
            await asyncio.sleep(0.01)

    for call in waiting:
        call.cancel()
    other.close()

    async with asyncio.timeout(5):
        while daemon.tell("stats")["tasks"] > before:
            await asyncio.sleep(0.05)


async def test_the_log_is_read_in_pages(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    text = "1700 4 disk is slow\n1700 6 copied\nodd line\n" + "1800 6 x\n" * 1500
    daemon.tell("write", job=id_of(job), name="log", text=text)

    lines, at = await root.job(job, "GetLog", "tua{sv}", 0, 2, {})
    assert (lines, at) == ([[1700, 4, "disk is slow"], [1700, 6, "copied"]], 34)
    lines, at = await root.job(job, "GetLog", "tua{sv}", at, 1, {})
    assert lines == [[0, 6, "odd line"]]
    lines, at = await root.job(job, "GetLog", "tua{sv}", at, 0, {})
    assert len(lines) == 1000
    lines, at = await root.job(job, "GetLog", "tua{sv}", at, 4_000_000_000, {})
    assert (len(lines), at) == (500, len(text))
    assert await root.job(job, "GetLog", "tua{sv}", at, 0, {}) == [[], at]
    assert await root.job(job, "GetLog", "tua{sv}", 1 << 63, 0, {}) == [[], 1 << 63]


@pytest.mark.parametrize("file", ["plan.json", "report.json", "report.html"])
async def test_plan_and_report_are_read(root: Client, daemon: Daemon, file: str) -> None:
    member = "GetPlan" if file == "plan.json" else "GetReport"
    options = {"report-format": Variant("s", "html")} if file.endswith("html") else {}
    job = await root.start()
    with pytest.raises(CallError) as caught:
        await root.job(job, member, "a{sv}", options)
    assert caught.value.name == ERROR + "NotFinished"

    daemon.tell("write", job=id_of(job), name=file, text='{"a": 1}')
    assert await root.job(job, member, "a{sv}", options) == ['{"a": 1}']


async def test_plan_shows_no_password(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    plan = {"domain_xml": '<domain><graphics type="vnc" passwd="hunter2"/></domain>'}
    daemon.tell("write", job=id_of(job), name="plan.json", text=json.dumps(plan))
    (text,) = await root.job(job, "GetPlan", "a{sv}", {})
    assert "***" in text
    assert "hunter2" not in text


async def test_what_was_printed_is_not_for_everybody(root: Client, daemon: Daemon) -> None:
    job = await root.start()
    finding = {
        "id": "hook-failed",
        "severity": "warning",
        "message": "It failed.",
        "said": "secret",
    }
    daemon.events(job, {"type": "finding", "finding": finding})
    daemon.end(job, "failed", error_name="HookFailed", error_message="No.", error_said="secret")
    (properties,) = await root.call("GetAll", "s", JOB, path=job, interface=PROPERTIES)
    assert properties["Findings"].value[0]["message"].value == "It failed."
    assert "secret" not in str(properties)
    await root.heard("JobFinished")
    assert "secret" not in str([signal.body for signal in root.signals])
