# SPDX-License-Identifier: GPL-2.0-or-later
"""Another host: a real sshd on 127.0.0.1, and real programs behind it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

from xen2kvmd.system import heartbeat, reader_there
from xen2kvmd.system.remotes import Remotes
from xen2kvmd.system.ssh import Connection


@dataclass(frozen=True)
class Far:
    """An ssh server, and what root's ssh would know of it."""

    address: str
    folder: Path
    pid: int

    def reload(self) -> None:
        """Let the server read its files anew."""
        (self.folder / "pid").unlink()
        os.kill(self.pid, signal.SIGHUP)
        while not (self.folder / "pid").exists():
            time.sleep(0.01)

    def sessions(self) -> list[int]:
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True
        )
        return [int(word) for word in found.stdout.split()]

    def logins(self) -> int:
        """Return how often somebody has logged in."""
        return (self.folder / "log").read_text().count("Accepted publickey")


@pytest.fixture
def sshd_options() -> str:
    """More lines for the configuration of that server."""
    return ""


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sshd_options: str) -> Iterator[Far]:
    """An ssh server that lets us in; a key in a file in the place of root's configuration."""
    if os.geteuid() != 0:
        pytest.skip("an sshd of its own needs root")
    home = tmp_path / "far"
    home.mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)
    for key in ("host", "key"):
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", str(home / key)])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (home / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {home}/authorized\nPidFile {home}/pid\n{sshd_options}\n"
    )
    (home / "user").write_text(
        f"IdentityFile {home}/key\nIdentitiesOnly yes\nUserKnownHostsFile {home}/known\n"
        "GlobalKnownHostsFile /dev/null\n"
    )
    shutil.copy(home / "key.pub", home / "authorized")
    kind, key = (home / "host.pub").read_text().split()[:2]
    (home / "known").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    ssh = home / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {home}/user "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    server = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-f", str(home / "config"), "-E", str(home / "log")]
    )
    while not (home / "pid").exists():
        time.sleep(0.01)
    yield Far(f"ssh://root@127.0.0.1:{port}", home, server.pid)
    server.terminate()
    server.wait()


@contextmanager
def without_power(host: Connection) -> Iterator[None]:
    """Let nothing be heard of a login, nor its end, as if this host had lost its power."""
    argv = ["pgrep", "-f", f"ssh .* -M -N -S {host.socket} "]
    login = int(subprocess.run(argv, capture_output=True, check=True).stdout)
    os.kill(login, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(login, signal.SIGCONT)


@pytest.fixture
def fast_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life that come more often, and are missed sooner."""
    monkeypatch.setattr(heartbeat, "EVERY", 0.1)
    for one in (heartbeat, reader_there):
        monkeypatch.setattr(one, "SILENCE", 1)


@pytest.fixture
def remotes() -> Iterator[Remotes]:
    folder = Path(mkdtemp(dir="/run"))
    opened = Remotes(folder)
    yield opened
    opened.close()
    assert not folder.exists()
