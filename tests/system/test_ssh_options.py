# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration says of a host is used by our ssh, and by libvirt's."""

import shlex
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.conftest import Far
from xen2kvmd.errors import ConnectionFailed, SourceAuthFailed
from xen2kvmd.system import ssh, ssh_login
from xen2kvmd.system.libvirt import connected as libvirt_connected


@pytest.fixture
def configuration(far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that says how the host is reached; root's own does not know its key."""
    user = far.folder / "user"
    lines = user.read_text().splitlines(keepends=True)
    user.write_text("".join(line for line in lines if "IdentityFile" not in line))
    file = tmp_path / "xen2kvmd.conf"
    port = urlsplit(far.address).port
    file.write_text(
        f"[Host 127.0.0.1]\nUser=root\nPort={port}\nIdentityFile={far.folder}/key\nRateLimit=7\n"
    )
    monkeypatch.setattr(ssh_login, "CONFIG", file)
    return file


@pytest.mark.usefixtures("configuration")
def test_host_is_reached_as_it_is_configured(tmp_path: Path) -> None:
    with ssh.connected("ssh://127.0.0.1") as host, host.program(["id", "-un"]) as program:
        assert program.stdout.read() == b"root\n"
    with ssh.as_program("ssh://127.0.0.1") as libvirts:
        subprocess.run([libvirts, "127.0.0.1", "true"], check=True)
    assert ssh_login.rate_limit("ssh://127.0.0.1:1") == 7
    assert ssh_login.rate_limit("ssh://localhost") == 0


@pytest.mark.usefixtures("configuration")
def test_what_the_address_says_wins(tmp_path: Path) -> None:
    with (
        pytest.raises(ConnectionFailed, match="port 1: Connection refused"),
        ssh.connected("ssh://127.0.0.1:1"),
    ):
        pass


def test_host_is_reached_through_another(far: Far, configuration: Path, tmp_path: Path) -> None:
    gate = far.address.removeprefix("ssh://")
    with (far.folder / "user").open("a") as user:
        user.write(f"IdentityFile {far.folder}/key\n")  # of the gate
    known = far.folder / "known"
    known.write_text(known.read_text() + known.read_text().replace("127.0.0.1", "localhost"))
    text = configuration.read_text().replace("127.0.0.1", "localhost")
    configuration.write_text(f"{text}ProxyJump={gate}\n")
    with ssh.connected("ssh://localhost"):
        assert len(far.sessions()) == 2
    typed = [
        *shlex.split(ssh_login.login_of("ssh://localhost")),
        "-o",
        "BatchMode=yes",
        "id",
        "-un",
    ]
    assert subprocess.run(typed, capture_output=True, text=True, check=True).stdout == "root\n"
    assert far.logins() == 4


@pytest.mark.usefixtures("configuration")
def test_who_is_refused_is_told_what_to_type(far: Far) -> None:
    port = urlsplit(far.address).port
    (far.folder / "authorized").write_text("")
    for reach in (lambda: ssh.connected("ssh://127.0.0.1"), by_libvirt):
        with pytest.raises(SourceAuthFailed) as raised, reach():
            pass
        assert f": ssh -i {far.folder}/key root@127.0.0.1 -p {port}. " in raised.value.hint


def by_libvirt() -> AbstractContextManager[object]:
    return libvirt_connected("xen+ssh://127.0.0.1/system")


@pytest.mark.parametrize(
    ("address", "typed"),
    [
        ("ssh://xen1", "ssh -J gate,root@inner:22 admin@xen1 -p 2222"),
        ("ssh://root@XEN1:22", "ssh -J gate,root@inner:22 root@XEN1 -p 22"),
        ("ssh://xen1?keyfile=/root/k", "ssh -i KEYFILE -J gate,root@inner:22 admin@xen1 -p 2222"),
        ("ssh://root@xen2", "ssh root@xen2"),
        ("ssh://root@[::1]:22", "ssh root@::1 -p 22"),
        ("ssh://[::1]", "ssh ::1"),
    ],
)
def test_what_to_type_is_what_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, typed: str
) -> None:
    monkeypatch.setattr(ssh_login, "CONFIG", tmp_path / "xen2kvmd.conf")
    ssh_login.CONFIG.write_text(
        "[Host xen1]\nUser=admin\nPort=2222\nProxyJump=gate,root@inner:22\n"
    )
    assert ssh_login.login_of(address) == typed
