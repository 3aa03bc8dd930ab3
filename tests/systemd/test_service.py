# SPDX-License-Identifier: GPL-2.0-or-later
"""The service and its jobs under real systemd, installed by tools/install."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.conftest import CHECKOUT, Container

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("container")]

SERVICE = "xen2kvmd.service"
MANAGER = "org.xen2kvm.Migrator1 /org/xen2kvm/Migrator1 org.xen2kvm.Migrator1.Manager"


def migrate(container: Container, guest: Path, name: str, *options: str) -> str:
    """Begin a migration; return the job's id."""
    target = ("--network", "default", "--name", name, *options)
    argv = ("xen2kvm", "migrate", "--detach", *target, str(guest / "guest.xml"))
    return container.run(*argv).split()[0]


def nothing_left(container: Container) -> None:
    assert container.run("virsh", "list", "--all", "--name").split() == []
    assert "qcow2" not in container.run("virsh", "vol-list", "default")
    scratch = "ls -d /var/lib/xen2kvmd/jobs/*/scratch"
    assert "No such file" in container.run("sh", "-c", scratch, check=False)


def test_the_bus_starts_the_service_and_it_says_that_it_is_ready(container: Container) -> None:
    container.run("systemctl", "stop", SERVICE)
    assert container.run("xen2kvm", "jobs").startswith(("There are no jobs", "job "))
    assert container.property(SERVICE, "ActiveState") == "active"
    assert container.property(SERVICE, "StatusText") == "Ready"
    assert container.property(SERVICE, "WatchdogUSec") == "1min"


def test_configuration_is_read_anew_and_a_mistake_is_refused(container: Container) -> None:
    conf = "/etc/xen2kvm/xen2kvmd.conf"
    container.run("mkdir", "-p", "/etc/xen2kvm")
    container.run("sh", "-c", f"printf '[Queue]\\nMaxJobs=3\\n' >{conf}")
    container.run("xen2kvm", "jobs")
    container.run("systemctl", "reload", SERVICE)
    assert container.property(SERVICE, "StatusText") == "Ready"
    container.run("sh", "-c", f"printf '[Queue]\\nMaxJobs=all\\n' >{conf}")
    container.run("systemctl", "reload", SERVICE, check=False)
    assert f"{conf}:2: MaxJobs=all is no number" in container.property(SERVICE, "StatusText")
    assert container.property(SERVICE, "ActiveState") == "active"
    assert f"{conf}:2" in container.run("journalctl", "-u", SERVICE, "-o", "cat")

    container.run("systemctl", "stop", SERVICE)
    container.run("systemctl", "start", SERVICE, check=False)
    assert container.property(SERVICE, "ExecMainStatus") == "78"
    assert container.property(SERVICE, "ActiveState") == "failed"
    container.run("rm", "-r", "/etc/xen2kvm")
    container.run("systemctl", "reset-failed", SERVICE)
    container.run("systemctl", "start", SERVICE)
    assert container.property(SERVICE, "StatusText") == "Ready"


def test_log_level_is_changed_by_systemctl(container: Container) -> None:
    container.run("xen2kvm", "jobs")
    for level in ("debug", "info"):
        container.run("systemctl", "service-log-level", SERVICE, level)
        assert container.run("systemctl", "service-log-level", SERVICE).strip() == level


def test_hardening_is_in_force(container: Container) -> None:
    container.run("xen2kvm", "jobs")
    pid = container.property(SERVICE, "MainPID")
    status = dict(
        line.split(":\t", 1)
        for line in container.run("cat", f"/proc/{pid}/status").splitlines()
        if ":\t" in line
    )
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")  # 2: a filter (proc(5))
    inside = ("nsenter", "--target", pid, "--mount", "--net", "--")
    for folder in ("/usr", "/etc", "/var/lib/libvirt", "/boot"):
        said = container.run(*inside, "touch", f"{folder}/xen2kvm-test", check=False)
        assert "Read-only file system" in said
    assert (
        container.run(*inside, "ls", "/home", "/dev/mem", "/dev/kvm", check=False).count(
            "No such file"
        )
        == 2
    )  # /home itself is there, and empty
    devices = container.run("cat", f"/proc/{pid}/net/dev")
    assert re.findall(r"^ *(\S+):", devices, re.MULTILINE) == ["lo"]


def test_documents_are_read_within_the_hardening(container: Container) -> None:
    document = "<domain type='xen'><name>web1</name><memory>65536</memory></domain>"
    container.run("sh", "-c", f'echo "{document}" >/tmp/web1.xml')
    assert "<name>web1</name>" in container.run("xen2kvm", "convert-xml", "/tmp/web1.xml")


def test_exposure_is_what_hacking_says(container: Container) -> None:
    said = container.run("systemd-analyze", "security", "--no-pager", SERVICE).splitlines()
    (figure,) = (line.split(": ")[1].split()[0] for line in said if "exposure level" in line)
    assert f"exposure of {figure} " in (CHECKOUT / "HACKING.md").read_text().replace("\n", " ")


def test_migration_outlives_restart_and_death_of_the_service(
    container: Container, guest: Path
) -> None:
    job = migrate(container, guest, "outlives")
    unit = f"xen2kvm-job@{job}.service"
    container.wait(job, lambda shown: shown["Phase"] == "inspect")
    held = container.run("systemd-inhibit", "--list", "--no-legend")
    assert re.search(r"xen2kvm.*shutdown.*Migration of tiny1.*block", held)
    container.run("systemctl", "restart", SERVICE)
    assert container.property(SERVICE, "StatusText") == "Migrations: 1 running"
    assert container.property(unit, "ActiveState") == "active"
    assert container.property(unit, "ControlGroup").startswith("/xen2kvm.slice/")
    for weight in ("CPUWeight", "IOWeight"):
        assert container.property("xen2kvm.slice", weight) == "50"
    container.wait(job, lambda shown: shown["Phase"] not in ("", "inspect"))
    container.run("systemctl", "kill", "--signal=KILL", SERVICE)
    shown = container.wait(job, lambda shown: shown["State"] == "succeeded")
    assert shown["Result"]["boot"].startswith("login prompt")
    assert records(container, f"JOB_ID={job}", "VM=tiny1", "STEP=copy")
    assert container.property(unit, "ActiveState") == "inactive"
    assert "xen2kvm" not in container.run("systemd-inhibit", "--list", "--no-legend")
    remove(container, "outlives")


@pytest.mark.parametrize("end", ["restart", "stop"])
def test_service_that_ends_while_jobs_start_loses_none(
    container: Container, guest: Path, end: str
) -> None:
    """A job starts before the end or after it, once."""
    begin = f"busctl call {MANAGER} Inspect ssa{{sv}} libvirtxml:{guest}/guest.xml '' 0"
    said = container.run("sh", "-c", f"{begin}; {begin}; systemctl {end} {SERVICE}")
    jobs = job_ids(said)
    assert len(jobs) == 2
    assert container.property(SERVICE, "Result") == "success"
    for job in jobs:
        container.wait(job, lambda shown: shown["State"] == "succeeded")
        path = f"/var/lib/xen2kvmd/jobs/{job}/journal"
        assert container.run("grep", "-c", '"started"', path).strip() == "1"


def test_job_that_comes_while_the_service_leaves_for_idleness_has_another_service(
    container: Container, guest: Path
) -> None:
    """The bus stands still meanwhile: it has the call before it hears that the name is given up."""
    folder, bus = f"/run/systemd/system/{SERVICE}.d", container.property("dbus.service", "MainPID")
    idle = "[Service]\\nExecStart=\\nExecStart=/usr/bin/xen2kvmd --job-units --idle-timeout 3\\n"
    container.run("sh", "-c", f"mkdir -p {folder} && printf '{idle}' >{folder}/idle.conf")
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", SERVICE)
    later = time.time_ns() // 1000 + 3_600_000_000
    asked = f"libvirtxml:{guest}/guest.xml '' 1 not-before t {later}"
    call = f"busctl call {MANAGER} Migrate ssa{{sv}} {asked}"
    first = container.property(SERVICE, "MainPID")
    ending = f'[ "$(systemctl show -P StatusText {SERVICE})" = Ending ]'
    container.run(
        "sh",
        "-c",
        f"kill -STOP {bus}; {call} >/run/said 2>&1 & until {ending}; do sleep 0.5; done;"
        f" kill -CONT {bus}; wait",
    )
    while container.property(SERVICE, "MainPID") in ("0", first):
        time.sleep(0.5)
    container.run("rm", "-r", folder)
    container.run("systemctl", "daemon-reload")
    (job,) = job_ids(container.run("cat", "/run/said"))
    assert container.job(job)["State"] == "queued"
    container.run("xen2kvm", "cancel", job, check=False)


def job_ids(said: str) -> list[str]:
    """Return the ids of the jobs whose paths busctl has printed."""
    return [path.replace("_", "-") for path in re.findall(r"jobs/(\w+)", said)]


def remove(container: Container, name: str) -> None:
    container.run("virsh", "destroy", name)
    container.run("virsh", "undefine", name, "--remove-all-storage")
    nothing_left(container)


def records(container: Container, *matches: str) -> list[Any]:
    said = container.run("journalctl", "--output=json", "--no-pager", *matches)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("death", ["kill", "stop"])
def test_job_whose_unit_ends_is_undone(container: Container, guest: Path, death: str) -> None:
    job = migrate(container, guest, death)
    container.wait(job, lambda shown: shown["Phase"] == "inspect")
    signal = () if death == "stop" else ("--signal=KILL", "--kill-who=main")
    container.run("systemctl", death, *signal, f"xen2kvm-job@{job}.service")
    container.run("xen2kvm", "follow", job, check=False)
    assert container.job(job)["ErrorName"].endswith("Interrupted")
    nothing_left(container)


def test_job_that_the_end_of_the_host_interrupted_is_undone_at_boot(
    container: Container, guest: Path
) -> None:
    job = migrate(container, guest, "power")
    container.wait(job, lambda shown: shown["Phase"] == "inspect")
    container.power_off()
    container.boot()
    assert container.property(SERVICE, "ActiveState") == "active"  # nobody has called it
    container.run("xen2kvm", "follow", job, check=False)
    shown = container.job(job)
    assert (shown["State"], shown["ErrorName"].split(".")[-1]) == ("failed", "Interrupted")
    nothing_left(container)


def test_job_that_the_end_of_the_host_interrupted_goes_on_at_boot(
    container: Container, guest: Path
) -> None:
    job = migrate(container, guest, "goes-on", "--resume")
    container.wait(job, lambda shown: shown["Phase"] == "verify")
    container.power_off()
    container.boot()
    shown = container.wait(job, lambda shown: shown["State"] == "succeeded")
    assert shown["Result"]["boot"].startswith("login prompt")
    (resumed,) = (found for found in shown["Findings"] if found["id"] == "resumed")
    assert "in step verify" in resumed["message"]
    remove(container, "goes-on")


def test_nothing_is_removed_while_a_job_runs(container: Container, guest: Path) -> None:
    job = migrate(container, guest, "stays")
    container.wait(job, lambda shown: shown["State"] == "running")
    said = container.run(str(CHECKOUT / "tools/install"), "--remove", check=False)
    assert f"jobs run; wait for them, or cancel them: xen2kvm-job@{job}.service" in said
    container.run("xen2kvm", "cancel", job)
    container.wait(job, lambda shown: shown["State"] == "cancelled")


def test_remove_takes_all_away_but_jobs(container: Container) -> None:
    """The last test of this package: the others need the installation."""
    container.run(str(CHECKOUT / "tools/install"), "--remove")
    said = container.run("systemctl", "cat", SERVICE, "xen2kvm-job@x.service", check=False)
    assert said.count("No files found") == 2
    assert "not found" in container.run("sh", "-c", "xen2kvm jobs", check=False)
    left = container.run("sh", "-c", "find /usr /etc -name '*xen2kvm*' -not -path '/usr/src/*'")
    assert left == ""
    assert container.run("ls", "/var/lib/xen2kvmd/jobs").split()
