# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose one kernel is for Xen gets another: from packages, or from its own repository."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.migration import repository
from tests.migration.conftest import build
from tests.migration.sandbox import Ended, Sandbox
from tests.migration.test_migration import JOBS, sha256, shell

pytestmark = pytest.mark.guest

NAME = "xenkernel1"
PORT = "8642"  # as the guest's sources.list has it
# The appliance reaches this host's loopback at 169.254.2.2.
SERVE = f"""
cd "$1"
python3 -m http.server --bind 127.0.0.1 {PORT} >/run/repository.log 2>&1 &
echo $! >/run/repository.pid
until bash -c 'exec 3<>/dev/tcp/127.0.0.1/{PORT}' 2>/dev/null; do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def guest() -> Iterator[Path]:
    """The guest; its disk is looked at before and after."""
    folder = build("debian12-xenkernel")
    before = sha256(folder / "disk.raw")
    yield folder
    assert sha256(folder / "disk.raw") == before


@pytest.fixture(scope="module")
def kernel() -> str:
    return repository.kernel()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, kernel: str) -> Path:
    """A folder as an administrator has it: the kernel, the agent, and what is for other guests."""
    folder = repository.download(tmp_path_factory.mktemp("packages"), kernel, "hello")
    (folder / "kernel-default-4.4.21-69.1.x86_64.rpm").write_bytes(b"\xed\xab\xee\xdb" + bytes(96))
    (folder / "README").write_text("Packages for guests.\n")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, kernel: str) -> Path:
    """A repository with the kernel behind its metapackage, and the agent with what it needs."""
    folder = repository.download(tmp_path_factory.mktemp("repository"), kernel, *repository.AGENT)
    repository.metapackage(folder, "linux-image-amd64", kernel)
    repository.index(folder)
    return folder


def client(sandbox: Sandbox, command: str, guest: Path, *options: str) -> Ended:
    xml = str(guest / "guest.xml")
    return sandbox.run("xen2kvm", command, "--network", "default", *options, xml, seconds=1100)


def planned(sandbox: Sandbox) -> Any:
    """Return the plan of the newest job."""
    newest = f"cat $(ls -td {JOBS}/*/plan.json | head -n 1)"
    return json.loads(sandbox.run("bash", "-c", newest).out)


def commands(plan: Any) -> list[str]:
    """Return the commands that install packages, as the plan shows them."""
    shown = [change for change in plan["changes"] if change["rule"] == "install_packages"]
    return [" ".join(change["command"]) for change in shown if change["command"]]


def test_without_packages_the_blocker_says_what_is_missing(sandbox: Sandbox, guest: Path) -> None:
    ended = client(sandbox, "migrate", guest)
    assert ended.code != 0
    assert "Missing: linux-image-amd64" in ended.err + ended.out
    assert "--packages" in ended.err + ended.out


def test_kernel_from_packages_boots(
    sandbox: Sandbox, guest: Path, packages: Path, kernel: str
) -> None:
    ended = client(sandbox, "migrate", guest, "--packages", str(packages))

    assert ended.code == 0, ended.err + ended.out
    assert "login prompt" in ended.out
    shown = planned(sandbox)
    (command,) = commands(shown)
    assert "dpkg --force-confold --install /var/tmp/xen2kvm-packages/" in command
    assert kernel in command
    assert "hello" not in command
    (unused,) = [one for one in shown["findings"] if one["id"] == "packages-not-used"]
    assert "hello_" in unused["message"]
    assert "kernel-default" in unused["message"]
    said = shell(
        sandbox,
        NAME,
        "uname -r",
        f"dpkg-query -W -f '${{Status}}\\n' {kernel}",
        "ls /var/tmp /usr/sbin/policy-rc.d",
        "dpkg --audit; ip -4 -br address show eth0",
        "systemctl --failed --no-pager",
    )
    assert kernel.removeprefix("linux-image-") in said.split()
    assert "install ok installed" in said
    assert "xen2kvm-packages" not in said
    assert "'/usr/sbin/policy-rc.d': No such file" in said
    assert "192.168.122." in said
    assert "0 loaded units listed." in said


def test_kernel_and_agent_from_the_guests_repository(
    sandbox: Sandbox, guest: Path, served: Path, kernel: str
) -> None:
    """The agent's own answer, over the channel of the new domain, proves that it runs."""
    assert sandbox.run("bash", "-c", SERVE, "bash", str(served)).code == 0
    try:
        ended = client(sandbox, "migrate", guest, "--guest-repositories", "--guest-agent")
    finally:
        sandbox.run("bash", "-c", "kill $(cat /run/repository.pid)")
    assert ended.code == 0, ended.err + ended.out

    said = shell(sandbox, NAME, "uname -r", "systemctl is-active qemu-guest-agent")
    assert kernel.removeprefix("linux-image-") in said.split()
    assert "active" in said.split()
    ping = '{"execute": "guest-ping"}'
    answered = sandbox.run("virsh", "qemu-agent-command", "--timeout", "30", NAME, ping)
    assert json.loads(answered.out) == {"return": {}}, answered.err


def test_install_that_fails_shows_why_and_leaves_nothing(
    sandbox: Sandbox, guest: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    repository.metapackage(folder, "linux-image-broken", "not-to-be-had")
    ended = client(sandbox, "migrate", guest, "--packages", str(folder))
    assert ended.code != 0
    assert "linux-image-broken depends on not-to-be-had" in ended.err + ended.out
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == ""
    assert sandbox.run("ls", "/var/lib/libvirt/images").out == ""


def test_what_is_no_package_is_refused_at_once(
    sandbox: Sandbox, guest: Path, tmp_path: Path
) -> None:
    file = tmp_path / "kernel_1_amd64.deb"
    file.write_text("root:$6$\n")
    ended = client(sandbox, "plan", guest, "--packages", str(file))
    assert ended.code != 0
    assert f"{file} is not a package" in ended.err + ended.out
