# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration that is over is rolled back or finalized, once; source and target never both run."""

from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.test_undo import cut_off, show
from tests.migration.xenhost import URI, state

pytestmark = pytest.mark.guest


def migrated(sandbox: Sandbox, *options: str) -> str:
    argv = ("xen2kvm", "migrate", "--detach", "--network", "default", "--no-verify", *options)
    job = sandbox.run(*argv).out.strip()
    followed = sandbox.run("xen2kvm", "follow", job)
    assert followed.code == 0, followed.err + followed.out
    return job


def virsh(sandbox: Sandbox, *words: str) -> str:
    ended = sandbox.run("virsh", *words)
    assert ended.code == 0, ended.err
    return ended.out.strip()


def target(sandbox: Sandbox) -> tuple[str, bool]:
    """Return the new guest's state, and whether it starts with its host."""
    autostart = "Autostart:      enable" in virsh(sandbox, "dominfo", "tiny1")
    return virsh(sandbox, "domstate", "tiny1"), autostart


@pytest.mark.parametrize("way", ["kill", "cancel"])
def test_rollback_that_is_cut_off_lets_the_target_run_on(
    sandbox: Sandbox, source_host: None, way: str
) -> None:
    migration = migrated(sandbox, "-c", URI, "tiny1")
    virsh(sandbox, "autostart", "tiny1")
    begun = sandbox.run("xen2kvm", "rollback", "--detach", "--shutdown-timeout", "9", migration)
    job = begun.out.strip()
    assert begun.code == 0, begun.err
    cut_off(sandbox, job, "fence", way)
    assert (target(sandbox), state(sandbox)) == (("running", True), "shut off")
    assert "settled" not in show(sandbox, migration)["Result"]


def test_rollback_fences_the_target_and_starts_the_source(
    sandbox: Sandbox, source_host: None
) -> None:
    migration = migrated(sandbox, "-c", URI, "tiny1")
    virsh(sandbox, "autostart", "tiny1")
    assert (target(sandbox), state(sandbox)) == (("running", True), "shut off")

    ended = sandbox.run("xen2kvm", "rollback", "--shutdown-timeout", "1", migration)

    assert ended.code == 0, ended.err + ended.out
    assert "started again" in ended.out
    assert (target(sandbox), state(sandbox)) == (("shut off", False), "running")
    assert show(sandbox, migration)["Result"]["settled"].startswith("rollback by job")
    for again in ("rollback", "finalize"):
        refused = sandbox.run("xen2kvm", again, migration)
        assert refused.code == 1
        assert "is settled: rollback by job" in refused.err


def test_rollback_removes_the_target_where_that_is_asked(sandbox: Sandbox, tiny: Path) -> None:
    migration = migrated(sandbox, "--no-start", "--autostart", str(tiny / "guest.xml"))
    assert target(sandbox) == ("shut off", True)

    ended = sandbox.run("xen2kvm", "rollback", "--remove-target", migration)

    assert ended.code == 0, ended.err + ended.out
    assert "source-not-started" in ended.err + ended.out
    assert virsh(sandbox, "list", "--all", "--name") == ""
    assert sandbox.run("ls", "/var/lib/libvirt/images").out == ""


def test_finalize_retires_the_source(sandbox: Sandbox, source_host: None) -> None:
    virsh(sandbox, "-c", URI, "autostart", "tiny1")
    migration = migrated(sandbox, "-c", URI, "tiny1")
    virsh(sandbox, "-c", URI, "start", "tiny1")
    refused = sandbox.run("xen2kvm", "finalize", migration)
    assert refused.code == 1
    assert "The source 'tiny1' runs." in refused.out
    virsh(sandbox, "-c", URI, "destroy", "tiny1")
    refused = sandbox.run("xen2kvm", "finalize", "--undefine-source", "db1", migration)
    assert "The source is 'tiny1', not 'db1'." in refused.out
    assert "Autostart:      enable" in virsh(sandbox, "-c", URI, "dominfo", "tiny1")

    ended = sandbox.run("xen2kvm", "finalize", migration)

    assert ended.code == 0, ended.err + ended.out
    assert "Autostart:      disable" in virsh(sandbox, "-c", URI, "dominfo", "tiny1")
    assert f'job="{migration}"' in virsh(sandbox, "-c", URI, "dumpxml", "tiny1").replace("'", '"')
    assert target(sandbox) == ("running", True)  # as the source did
    refused = sandbox.run("xen2kvm", "rollback", migration)
    assert refused.code == 1
    assert "is settled: finalize by job" in refused.err


def test_finalize_forgets_what_is_named(sandbox: Sandbox, source_host: None) -> None:
    virsh(sandbox, "-c", URI, "autostart", "tiny1")
    migration = migrated(sandbox, "-c", URI, "--no-start", "--no-autostart", "tiny1")
    assert target(sandbox) == ("shut off", False)
    backup = show(sandbox, migration)["Result"]["backup"]

    argv = ("xen2kvm", "finalize", "--undefine-source", "tiny1", "--remove-backup", migration)
    ended = sandbox.run(*argv)

    assert ended.code == 0, ended.err + ended.out
    assert sandbox.run("virsh", "-c", URI, "dominfo", "tiny1").code != 0
    assert sandbox.run("ls", backup).code != 0
    assert target(sandbox) == ("shut off", False)


def test_what_did_not_succeed_is_not_settled(sandbox: Sandbox, tiny: Path) -> None:
    planned = sandbox.run("xen2kvm", "plan", "--network", "default", str(tiny / "guest.xml"))
    assert planned.code == 0
    job = sandbox.json("xen2kvm", "jobs", "--json")[-1]["Id"]
    refused = sandbox.run("xen2kvm", "rollback", job)
    assert refused.code == 1
    assert "no migration that has succeeded" in refused.err
