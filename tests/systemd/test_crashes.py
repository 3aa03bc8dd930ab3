# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirtd or QEMU crashes in the middle of a migration: it goes on, or all is undone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.conftest import Container
from tests.systemd.test_service import migrate, nothing_left

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("container")]

CRASH = ("systemctl", "kill", "--signal=KILL", "--kill-who=main", "libvirtd.service")
HOOK = "/etc/xen2kvm/hooks.d/post-define/crash"


@pytest.fixture
def crash_after_define(container: Container) -> Iterator[None]:
    """A hook that kills libvirtd: systemd starts it again when somebody connects."""
    script = (
        f"mkdir -p {HOOK.rpartition('/')[0]}; printf '#!/bin/sh\\n{' '.join(CRASH)}\\n' >{HOOK}"
    )
    container.run("sh", "-ec", f"{script}; chmod 755 {HOOK}")
    yield
    container.run("rm", "-r", "/etc/xen2kvm")


def ended(container: Container, job: str) -> Any:
    container.run("xen2kvm", "follow", job, check=False)
    shown = container.job(job)
    assert "left-behind" not in {found["id"] for found in shown["Findings"]}, shown
    return shown


@pytest.mark.usefixtures("crash_after_define")
def test_guest_is_started_after_a_crash_of_libvirtd_and_undone_after_one_of_qemu(
    container: Container, guest: Path
) -> None:
    daemon = container.property("libvirtd.service", "MainPID")
    job = migrate(container, guest, "dies")
    container.wait(job, lambda shown: shown["Phase"] == "verify")
    assert container.property("libvirtd.service", "MainPID") not in (daemon, "0")
    # The brackets keep pkill from finding those who run it.
    container.run("pkill", "-KILL", "-f", "guest=[d]ies,")
    shown = ended(container, job)
    assert (shown["State"], shown["ErrorName"].split(".")[-1]) == ("failed", "VerifyFailed")
    assert "it stopped by itself" in shown["ErrorMessage"]
    nothing_left(container)


def test_migration_is_undone_if_libvirtd_crashes_while_the_boot_is_verified(
    container: Container, guest: Path
) -> None:
    job = migrate(container, guest, "alone")
    container.wait(job, lambda shown: shown["Phase"] == "verify")
    container.run(*CRASH)
    shown = ended(container, job)
    assert (shown["State"], shown["ErrorName"].split(".")[-1]) == ("failed", "ConnectionFailed")
    nothing_left(container)
    assert container.run("pgrep", "-f", "guest=[a]lone,", check=False) == ""
