# SPDX-License-Identifier: GPL-2.0-or-later
"""A key that asks for a passphrase is used by an agent, which root's configuration names."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Far
from xen2kvmd.errors import SourceAuthFailed
from xen2kvmd.system import ssh


@pytest.fixture
def agent(far: Far, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent that has the key, whose file is encrypted; a job's environment does not name it."""
    socket = far.folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    while not socket.exists():
        time.sleep(0.01)
    key = far.folder / "key"
    environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
    subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "sesame", "-f", str(key)], check=True)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield socket
    process.terminate()
    process.wait()


def test_agent_of_the_configuration_has_the_key(far: Far, agent: Path) -> None:
    with pytest.raises(SourceAuthFailed), ssh.connected(far.address):
        pass  # nobody is there to type the passphrase

    with (far.folder / "user").open("a") as user:
        user.write(f"Host 127.0.0.1\n    IdentityAgent {agent}\n")

    with ssh.connected(far.address) as host, host.program(["id", "-un"]) as program:
        assert program.stdout.read() == b"root\n"
