# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations begin when systemd's calendar says, in the two ways that xen2kvm(1) documents."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.conftest import Container

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("container")]

EXAMPLES = "/usr/share/doc/xen2kvm"
UNITS = "/etc/systemd/system"
CANCELLED = "6"  # xen2kvm(1), EXIT STATUS


def jobs(container: Container) -> dict[str, str]:
    """Return the state of each job."""
    return {
        job["Id"]: job["State"] for job in json.loads(container.run("xen2kvm", "jobs", "--json"))
    }


@pytest.fixture
def known(container: Container) -> Iterator[set[str]]:
    """The jobs of other tests; those of this one are gone afterwards."""
    before = set(jobs(container))
    yield before
    for job in set(jobs(container)) - before:
        container.run("xen2kvm", "cancel", job, check=False)
        container.run("xen2kvm", "remove", "--force", job)


def soon(container: Container) -> str:
    """Return a time of systemd's calendar that is not there before its timer is started."""
    return container.run("date", "--date=+8 seconds", "+%F %T").strip()


def write(container: Container, path: str, text: str) -> None:
    container.run("sh", "-ec", f"mkdir -p {Path(path).parent}; echo '{text}' >{path}")


def begun(container: Container, known: set[str]) -> str:
    """Wait until the one new job runs; return its id."""
    deadline = time.monotonic() + 60
    while not (new := {job: state for job, state in jobs(container).items() if job not in known}):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (job,) = new
    assert container.wait(job, lambda shown: shown["State"] == "running")["OwnerUid"] == 0
    return job


def wait_for_end(container: Container, service: str) -> None:
    """Wait until the command that watches a job has heard of its end, and systemd of its own."""
    deadline = time.monotonic() + 60
    while container.property(service, "ActiveState") == "activating":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_systemd_run_begins_a_migration(container: Container, guest: Path, known: set[str]) -> None:
    container.run(
        *("systemd-run", f"--on-calendar={soon(container)}", "--unit=migrate-tiny1"),
        *("--timer-property=AccuracySec=1s", "xen2kvm", "migrate", "--network", "default"),
        str(guest / "guest.xml"),
    )
    assert set(jobs(container)) == known  # not before
    job = begun(container, known)
    container.run("systemctl", "stop", "migrate-tiny1.service")
    assert jobs(container)[job] == "running"  # who watched is gone, and the job is not
    assert container.run("systemctl", "list-units", "--all", "-q", "migrate-tiny1.*") == ""


def test_example_units_begin_a_migration_and_end_as_it_does(
    container: Container, guest: Path, known: set[str]
) -> None:
    service, timer = (f"xen2kvm-migrate@tiny1.{kind}" for kind in ("service", "timer"))
    for kind in ("service", "timer"):
        example = f"xen2kvm-migrate@.{kind}"
        container.run("cp", f"{EXAMPLES}/{example}.example", f"{UNITS}/{example}")
    options = f"OPTIONS=--network default\nGUEST={guest}/guest.xml"
    write(container, "/etc/xen2kvm/migrate/tiny1.env", options)
    write(container, f"{UNITS}/{timer}.d/when.conf", f"[Timer]\nOnCalendar={soon(container)}")
    container.run("systemctl", "daemon-reload")
    try:
        container.run("systemctl", "enable", "--now", timer)
        job = begun(container, known)
        assert container.property(service, "ActiveState") == "activating"
        container.run("xen2kvm", "cancel", job)
        wait_for_end(container, service)
        assert container.property(service, "ExecMainStatus") == CANCELLED
        assert container.property(service, "Result") == "exit-code"
    finally:
        container.run("systemctl", "disable", "--now", timer)
        container.run("sh", "-c", f"rm -r /etc/xen2kvm {UNITS}/xen2kvm-migrate@*")
        container.run("systemctl", "daemon-reload")
        container.run("systemctl", "reset-failed", service, check=False)  # it may not have failed
