# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages are installed, used, upgraded, removed and purged, in a container.

The tests are a row: each goes on where the one before left the container.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.conftest import build
from tests.systemd.conftest import Container

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("debs")]

SERVICE = "xen2kvmd.service"
EXAMPLE = "xen2kvm-migrate@.service"
STATE = "/var/lib/xen2kvmd"
# What other programs of the machine write while we look is not ours: /var, and caches of Python.
LIST = "find /etc /usr /lib -xdev -name __pycache__ -prune -o -path /usr/src -prune -o -print"
OURS = "find /var/lib /run -path /run/systemd/units -prune -o -name '*[xX]en2kvm*' -print"


@pytest.fixture(scope="module")
def tiny() -> Path:
    return build("tiny")


@pytest.fixture(scope="module")
def container(
    tmp_path_factory: pytest.TempPathFactory, debs: dict[str, Path], tiny: Path
) -> Iterator[Container]:
    made = Container(tmp_path_factory.mktemp("container"), tiny, debs["xen2kvmd"].parent)
    try:
        # An image of Docker has the first, so that no service is started.
        made.run("rm", "-f", "/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update")
        made.start_libvirt()
        yield made
    finally:
        made.power_off()


@pytest.fixture(scope="module")
def before(container: Container) -> set[str]:
    return files(container)


def files(container: Container) -> set[str]:
    return set(container.run("sh", "-c", f"{LIST}; {OURS}").splitlines())


def install(container: Container, debs: dict[str, Path]) -> None:
    container.run("dpkg", "--force-unsafe-io", "--install", *map(str, debs.values()))


def test_packages_are_installed_and_the_service_runs(
    container: Container, debs: dict[str, Path], before: set[str]
) -> None:
    install(container, debs)
    assert container.property(SERVICE, "ActiveState") == "active"
    assert container.property(SERVICE, "UnitFileState") == "enabled"
    assert "no jobs" in container.run("xen2kvm", "jobs")
    assert "xen2kvm/html/xen2kvmd.8.html" in " ".join(files(container) - before)


def test_upgrade_costs_a_job_nothing_and_removal_is_refused_meanwhile(
    container: Container, debs: dict[str, Path], tiny: Path
) -> None:
    example = f"/usr/share/doc/xen2kvmd/examples/{EXAMPLE}.example"
    container.run("cp", example, f"/etc/systemd/system/{EXAMPLE}")
    settings = f"OPTIONS=--network default --name new\nGUEST={tiny}/guest.xml"
    folder = "/etc/xen2kvm/migrate"
    container.run("sh", "-ec", f"mkdir -p {folder}; echo '{settings}' >{folder}/tiny1.env")
    container.run("systemctl", "daemon-reload")
    unit = EXAMPLE.replace("@", "@tiny1")
    container.run("systemctl", "start", "--no-block", unit)
    container.run(
        "timeout", "60", "sh", "-c", "until xen2kvm jobs | grep running; do sleep 1; done"
    )
    job = container.run("ls", f"{STATE}/jobs").strip()

    service = container.property(SERVICE, "MainPID")
    worker = container.property(f"xen2kvm-job@{job}.service", "MainPID")
    install(container, debs)
    assert container.property(SERVICE, "MainPID") not in (service, "0")
    assert container.property(f"xen2kvm-job@{job}.service", "MainPID") == worker
    said = container.run("dpkg", "--remove", "xen2kvm", "xen2kvmd", check=False)
    assert "cannot be removed while jobs run" in said
    assert f"xen2kvm-job@{job}.service" in said
    assert "ok installed" in container.run("dpkg-query", "-Wf", "${Status}", "xen2kvmd")
    install(container, debs)

    shown = container.wait(job, lambda shown: shown["State"] == "succeeded")
    assert shown["Result"]["boot"].startswith("login prompt")
    assert container.property(unit, "Result") == "success"
    container.run("rm", "-r", "/etc/xen2kvm", f"/etc/systemd/system/{EXAMPLE}")


def test_removed_and_purged_packages_leave_the_guest_the_jobs_and_the_backups(
    container: Container, debs: dict[str, Path], before: set[str]
) -> None:
    kept = set(container.run("find", STATE).splitlines())
    container.run("dpkg", "--remove", *debs)
    said = container.run("busctl", "introspect", "org.xen2kvm.Migrator1", "/", check=False)
    assert "not provided by any .service files" in said
    assert set(container.run("find", STATE).splitlines()) == kept

    said = container.run("dpkg", "--purge", *debs)
    assert f"the records of jobs and the backups stay in {STATE}" in said
    assert set(container.run("find", STATE).splitlines()) == kept
    assert f"{STATE}/backups/tiny1-" in " ".join(kept)
    assert container.run("virsh", "domstate", "new").strip() == "running"
    container.run("virsh", "destroy", "new")
    container.run("virsh", "undefine", "new")
    assert files(container) - before == {STATE}
    assert before - files(container) == set()


def test_packages_that_were_never_used_leave_nothing(
    container: Container, debs: dict[str, Path], before: set[str]
) -> None:
    container.run("rm", "-r", STATE)
    install(container, debs)
    assert "no jobs" in container.run("xen2kvm", "jobs")
    container.run("dpkg", "--purge", *debs)
    assert files(container) == before
