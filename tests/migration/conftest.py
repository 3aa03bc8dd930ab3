# SPDX-License-Identifier: GPL-2.0-or-later
"""One sandbox for all migrations, and the guests."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.sandbox import CHECKOUT, Sandbox
from tests.migration.sshd import SSHD_DOWN, SSHD_UP
from tests.migration.xenhost import HOST_DOWN, HOST_UP, shell
from xen2kvmd.system import kvm


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    # One that interprets instructions is hidden: each job would find it out anew, in five seconds.
    of_no_use = Path("/dev/kvm").exists() and not kvm.works(kvm.emulator())
    own, files = tmp_path_factory.mktemp("own"), tmp_path_factory.getbasetemp()
    sandbox = Sandbox(own, files, hide_kvm=of_no_use)
    yield sandbox
    sandbox.close()


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The sandbox, with nothing of this test left in it afterwards."""
    yield shared_sandbox
    for name in shared_sandbox.run("virsh", "list", "--all", "--name").out.split():
        shared_sandbox.run("virsh", "destroy", name)
        shared_sandbox.run("virsh", "undefine", "--nvram", name)
    for line in shared_sandbox.run("virsh", "vol-list", "default").out.splitlines()[2:]:
        if line.strip():
            shared_sandbox.run("virsh", "vol-delete", "--pool", "default", line.split()[0])


def build(name: str) -> Path:
    argv = [str(CHECKOUT / "tests/guests/build"), name]
    built = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-4000:]
    return Path(built.stdout.strip())


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The folder of the guest that is quick to migrate."""
    return build("tiny")


@pytest.fixture(scope="session")
def tiny_disks() -> Path:
    """The folder of a guest with two disks: GPT and MBR, a gap in their names, data and swap."""
    return build("tiny-disks")


@pytest.fixture(scope="session")
def tiny_xentools() -> Path:
    """The folder of a guest with volumes in the place of partitions, and one with root only."""
    return build("tiny-xentools")


@pytest.fixture(scope="session")
def debian() -> Path:
    """The folder of a paravirtualised Debian 12 with pygrub."""
    return build("debian12-pygrub")


@pytest.fixture
def source_host(sandbox: Sandbox, tiny: Path) -> Iterator[None]:
    """A guest that runs on the Xen host; nobody writes its disk."""

    def digest() -> str:
        with (tiny / "disk.raw").open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    before = digest()
    shell(sandbox, HOST_UP, str(tiny / "guest.xml"))
    yield
    shell(sandbox, HOST_DOWN)
    assert digest() == before


@pytest.fixture
def sshd(sandbox: Sandbox) -> Iterator[None]:
    """An ssh server, whose host's key is not known yet and that knows no user's."""
    shell(sandbox, SSHD_UP)
    yield
    shell(sandbox, SSHD_DOWN)
