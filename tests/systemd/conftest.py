# SPDX-License-Identifier: GPL-2.0-or-later
"""This system in a container with real systemd, installed there as a user installs it."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = CHECKOUT / "tests/systemd/container"


class Container:
    """The container, running; what is written in it stays when it boots again."""

    def __init__(self, folder: Path, *binds: Path) -> None:
        self._folder = folder
        self._binds = binds
        self.boot()

    def boot(self) -> None:
        subprocess.run([COMMAND, "start", self._folder, CHECKOUT, *self._binds], check=True)

    def power_off(self) -> None:
        subprocess.run([COMMAND, "stop", self._folder], check=True)

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a program to its end; return what it printed."""
        done = subprocess.run(
            [COMMAND, "run", self._folder, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start_libvirt(self) -> None:
        """Have it as it is after its installation, with a pool."""
        pool = ("pool-define-as", "default", "dir", "--target", "/var/lib/libvirt/images")
        self.run("systemctl", "start", "libvirtd.service")
        self.run("virsh", *pool)
        for kind in ("pool", "net"):
            self.run("virsh", f"{kind}-autostart", "default")
            self.run("virsh", f"{kind}-start", "default")

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", f"--property={name}", "--value", unit).strip()

    def job(self, job_id: str) -> Any:
        """Return the job as the client shows it."""
        return json.loads(self.run("xen2kvm", "show", "--json", job_id))

    def wait(self, job_id: str, until: Callable[[Any], bool], *, seconds: float = 600) -> Any:
        """Wait until a job is as it should be; return it."""
        deadline = time.monotonic() + seconds
        while not until(job := self.job(job_id)):
            assert time.monotonic() < deadline, job
            assert job["State"] not in ("failed", "interrupted", "cancelled"), job
            time.sleep(0.5)
        return job


@pytest.fixture(scope="package")
def guest() -> Path:
    """The folder of a small guest."""
    build = CHECKOUT / "tests/guests/build"
    done = subprocess.run([build, "tiny"], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="package")
def container(tmp_path_factory: pytest.TempPathFactory, guest: Path) -> Iterator[Container]:
    """A container where tools/install has run, with libvirt."""
    made = Container(tmp_path_factory.mktemp("container"), guest)
    try:
        made.run(str(CHECKOUT / "tools/install"))
        made.start_libvirt()
        yield made
    finally:
        made.power_off()
