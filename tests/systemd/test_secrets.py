# SPDX-License-Identifier: GPL-2.0-or-later
"""A key that a job was given outlives the service, which has no rights of its own, not the host."""

from pathlib import Path

import pytest

from tests.systemd.conftest import Container
from tests.systemd.test_service import SERVICE, migrate

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("container")]

# The journal has what is run in the container: neither words nor pattern are the secret itself.
WORDS, PATTERN = ("open-", "sesame-17"), "open-[s]esame-17"
PLACES = ("/var/lib/xen2kvmd", "/var/log", "/run/log", "/run/xen2kvmd")


def held(container: Container, guest: Path, name: str) -> str:
    """Begin a migration that waits, with a key; return the job's id."""
    container.run("sh", "-c", f"umask 077; printf %s%s {' '.join(WORDS)} >/root/key")
    return migrate(container, guest, name, "--hold", "--key", "/dev/xvda2:file:/root/key")


def kept(container: Container) -> list[str]:
    return container.run("grep", "-rl", PATTERN, *PLACES, check=False).split()


def test_key_outlives_the_service_and_goes_with_its_job(container: Container, guest: Path) -> None:
    job = held(container, guest, "locked")
    file = f"/run/xen2kvmd/secrets/{job}/1"
    assert container.run("stat", "-c", "%a %U", file, file.rpartition("/")[0]).split("\n")[:2] == [
        "600 root",
        "700 root",
    ]
    for end in (("kill", "--signal=KILL"), ("restart",), ("stop",)):
        container.run("systemctl", *end, SERVICE)
        assert container.job(job)["State"] == "queued"
        assert kept(container) == [file]
    container.run("xen2kvm", "release", job)
    container.run("xen2kvm", "follow", job, check=False)
    shown = container.job(job)  # the guest has no such disk: it says so, and so has read the key
    assert shown["ErrorName"].endswith("InvalidOption")
    assert "There is a key for /dev/xvda2, which is no encrypted disk" in shown["ErrorMessage"]
    assert kept(container) == []


def test_job_whose_key_went_with_the_host_says_so(container: Container, guest: Path) -> None:
    job = held(container, guest, "locked-out")
    container.power_off()
    container.boot()
    assert kept(container) == []
    container.run("xen2kvm", "release", job)
    container.run("xen2kvm", "follow", job, check=False)
    shown = container.job(job)
    assert (shown["State"], shown["ErrorName"].split(".")[-1]) == ("failed", "InvalidOption")
    assert "key for /dev/xvda2, which was given to this job, is gone" in shown["ErrorMessage"]
