# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may do what: every method refuses whom it should, and polkit, a real one, decides.

The users' rules are in running.py: sys may nothing, games what is not others', news one thing.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dbus_next import Variant

from tests.bus.client import (
    ERROR,
    FDO,
    FDO_ERROR,
    JOB,
    MANAGER,
    NAME,
    ROOT,
    SOURCE,
    CallError,
    Client,
)
from tests.bus.running import CHECKOUT, Daemon, id_of, running_bus, running_daemon
from xen2kvmd.bus import contract
from xen2kvmd.bus.polkit import Action

Connect = Callable[[str], Awaitable[Client]]

DENIED = FDO_ERROR + "AccessDenied"
CHALLENGE = FDO_ERROR + "InteractiveAuthorizationRequired"
START: tuple[Any, ...] = ("ssa{sv}", SOURCE, "web1", {})

# Arguments of each method, for a job of somebody else. Who adds a method adds it here.
ARGUMENTS: dict[tuple[str, str], tuple[Any, ...]] = {
    (MANAGER, "ListGuests"): ("sa{sv}", "xen:///system", {}),
    (MANAGER, "Inspect"): START,
    (MANAGER, "Plan"): START,
    (MANAGER, "Migrate"): START,
    (MANAGER, "ConvertXml"): ("ssa{sv}", "libvirtxml", "<domain/>", {}),
    (MANAGER, "ListJobs"): ("a{sv}", {}),
    (MANAGER, "GetJob"): ("s", "ID"),
    (MANAGER, "CancelJob"): ("sa{sv}", "ID", {}),
    (MANAGER, "PruneJobs"): ("a{sv}", {}),
    (JOB, "Cancel"): ("a{sv}", {}),
    (JOB, "Remove"): ("a{sv}", {}),
    (MANAGER, "Backup"): ("sssa{sv}", "xen:///system", "web1", "/srv/backup", {}),
    (MANAGER, "Restore"): ("sa{sv}", "/srv/backup/web1", {}),
    (MANAGER, "Reload"): ("a{sv}", {}),
    (JOB, "Hold"): ("a{sv}", {}),
    (JOB, "Release"): ("a{sv}", {}),
    (JOB, "SetPriority"): ("ia{sv}", 1, {}),
    (JOB, "Rollback"): ("a{sv}", {}),
    (JOB, "Finalize"): ("a{sv}", {}),
    (JOB, "Wait"): ("a{sv}", {}),
    (JOB, "GetLog"): ("tua{sv}", 0, 0, {}),
    (JOB, "GetPlan"): ("a{sv}", {}),
    (JOB, "GetReport"): ("a{sv}", {}),
}
FAST = {"pool": Variant("s", "fast")}
OVERWRITE = {"overwrite": Variant("b", value=True)}
PUBLIC = {(MANAGER, "ListJobs"), (MANAGER, "GetJob"), (JOB, "Wait")}

CONTRACT = contract.load(contract.find().read_bytes())
METHODS = [
    (interface.name, method) for interface in CONTRACT.values() for method in interface.methods
]


@pytest.mark.parametrize(("interface", "member"), METHODS)
async def test_every_method_refuses(
    root: Client, daemon: Daemon, connect: Connect, interface: str, member: str
) -> None:
    job = await root.start()
    daemon.tell("write", job=id_of(job), name="log", text="1 6 secret\n")
    jobs = (await root.call("ListJobs", "a{sv}", {}))[0]
    refused = await connect("sys")
    signature, *body = ARGUMENTS[interface, member]
    body = [id_of(job) if item == "ID" else item for item in body]
    path = ROOT if interface == MANAGER else job

    calling = refused.call(member, signature, *body, path=path, interface=interface)
    if (interface, member) in PUBLIC:
        if member == "Wait":
            daemon.end(job)
        await calling
        assert CONTRACT[interface].methods[member].actions == {Action.NONE}
        return
    with pytest.raises(CallError) as caught:
        await calling

    assert caught.value.name == DENIED
    assert (await root.call("ListJobs", "a{sv}", {}))[0] == jobs
    assert await root.get(job, "State") == "queued"
    assert root.members().count("JobNew") == 1


@pytest.mark.parametrize(
    ("user", "operation", "vm", "options", "error"),
    [
        ("games", "Inspect", "web1", {}, ""),
        ("games", "Migrate", "web1", {}, ""),
        ("games", "Migrate", "forbidden", {}, DENIED),
        ("news", "Migrate", "db01", FAST, ""),
        ("news", "Migrate", "db01", {"pool": Variant("s", "slow")}, CHALLENGE),
        ("news", "Migrate", "db01", {**FAST, "disk-pool": Variant("as", ["xvdb=slow"])}, CHALLENGE),
        ("news", "Migrate", "db01", {**FAST, "disk-pool": Variant("as", ["xvdb=fast"])}, ""),
        ("news", "Migrate", "db01", {**FAST, "backup-pool": Variant("s", "slow")}, CHALLENGE),
        ("news", "Migrate", "web1", {"pool": Variant("s", "fast")}, CHALLENGE),
        ("mail", "Inspect", "web1", {}, CHALLENGE),
        ("mail", "Plan", "web1", {}, CHALLENGE),
        ("mail", "Migrate", "web1", {}, CHALLENGE),
        ("news", "Migrate", "db01", {"pool": Variant("s", "fast"), **OVERWRITE}, CHALLENGE),
        ("root", "Migrate", "forbidden", {}, ""),
    ],
)
async def test_rules_decide_by_user_and_details(
    daemon: Daemon,
    connect: Connect,
    user: str,
    operation: str,
    vm: str,
    options: dict[str, Variant],
    error: str,
) -> None:
    client = await connect(user)
    calling = client.start(operation, vm, options)
    if error:
        with pytest.raises(CallError, match=error):
            await calling
    else:
        daemon.end(await calling)


async def test_anybody_converts_xml(daemon: Daemon, connect: Connect) -> None:
    with pytest.raises(CallError) as caught:
        await (await connect("mail")).call("ConvertXml", "ssa{sv}", "libvirtxml", "<", {})
    assert caught.value.name == ERROR + "InvalidXml"  # so it was read


async def test_owner_and_others_are_told_apart(
    root: Client, daemon: Daemon, connect: Connect
) -> None:
    games, news, mail = [await connect(user) for user in ("games", "news", "mail")]
    theirs, roots = await games.start(), await root.start()
    daemon.tell("write", job=id_of(theirs), name="plan.json", text="{}")

    assert await games.job(theirs, "GetPlan") == ["{}"]  # the owner is not asked
    with pytest.raises(CallError, match=CHALLENGE):
        await news.job(theirs, "GetPlan")
    with pytest.raises(CallError, match=CHALLENGE):
        await mail.job(theirs, "Cancel")
    with pytest.raises(CallError, match=CHALLENGE):
        await games.job(roots, "Cancel")
    with pytest.raises(CallError, match=CHALLENGE):
        await news.job(roots, "Cancel")  # its rule says job.owner 5
    await news.call("CancelJob", "sa{sv}", id_of(theirs), {})
    await games.job(theirs, "Cancel")
    daemon.end(theirs)
    with pytest.raises(CallError, match=CHALLENGE):
        await mail.job(theirs, "Remove")
    await games.job(theirs, "Remove")


async def test_arguments_are_checked_before_polkit_is_asked(
    daemon: Daemon, connect: Connect
) -> None:
    with pytest.raises(CallError) as caught:
        await (await connect("mail")).start(options={"pol": Variant("s", "x")})
    assert caught.value.name == ERROR + "InvalidOption"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("grant", ROOT + "/jobs/"),
        ("dismiss", ERROR + "NotAuthorizedDismissed"),
        ("fail", DENIED),
    ],
)
async def test_a_person_is_asked(
    daemon: Daemon, bus_address: str, answer: str, result: str
) -> None:
    said = await run_agent(bus_address, answer)

    assert said["message"] == (
        f"Authentication is required to migrate web7 from {SOURCE}, and to read or write "
        f"{SOURCE.partition(':')[2]} as root for it"
    )
    assert said["result"].startswith(result)


async def test_the_dialog_goes_when_the_caller_does(daemon: Daemon, bus_address: str) -> None:
    assert (await run_agent(bus_address, "leave"))["withdrawn"]


@pytest.mark.parametrize("how", ["plain", "quiet"])
async def test_nobody_is_asked_who_must_not_be(daemon: Daemon, bus_address: str, how: str) -> None:
    """Without the message's flag, or with the option, a challenge comes back at once."""
    assert await run_agent(bus_address, "grant", how) == {"result": CHALLENGE}


async def test_without_polkit_root_alone_may(library: str) -> None:
    with running_bus() as (address, _), running_daemon(address, library):
        root, mail = await Client.connect(address), await Client.connect(address, "mail")
        assert (await root.start()).startswith(ROOT)
        with pytest.raises(CallError) as caught:
            await mail.start()
        assert caught.value.name == DENIED
        root.close()
        mail.close()


# --- the bus's own policy -------------------------------------------------------------------------


async def test_only_root_owns_the_name(bus_address: str, connect: Connect) -> None:
    with pytest.raises(CallError) as caught:
        await (await connect("mail")).call(
            "RequestName", "su", NAME, 0,
            path="/org/freedesktop/DBus", interface=FDO, destination=FDO,
        )  # fmt: skip
    assert caught.value.name == DENIED


@pytest.mark.parametrize("interface", ["org.freedesktop.LogControl1", "org.example.Any", None])
async def test_other_interfaces_cannot_be_reached(
    daemon: Daemon, connect: Connect, interface: str | None
) -> None:
    with pytest.raises(CallError) as caught:
        await (await connect("mail")).call("ListJobs", "a{sv}", {}, interface=interface)
    assert caught.value.name == DENIED


async def test_everybody_reads_what_is_public(
    daemon: Daemon, root: Client, connect: Connect
) -> None:
    job = await root.start()
    mail = await connect("mail")
    (objects,) = await mail.call("GetManagedObjects", interface=FDO + ".ObjectManager")
    assert job in objects
    assert await mail.get(job, "State") == "queued"
    assert "Migrate" in (await mail.call("Introspect", interface=FDO + ".Introspectable"))[0]


async def run_agent(address: str, answer: str, how: str = "flag") -> dict[str, Any]:
    """Let the user mail call Migrate with a dialog; return what agent.py prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bus.agent", "mail", answer, how,
        cwd=CHECKOUT,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return dict(json.loads(output))
