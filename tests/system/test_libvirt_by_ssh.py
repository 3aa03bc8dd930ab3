# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt of another host: its ssh is as strict as ours, and waits no longer."""

import os
import signal
import socket
import threading
import time

import pytest

from tests.system.conftest import Far
from xen2kvmd.errors import ConnectionFailed, HostKeyUnknown
from xen2kvmd.system import ssh
from xen2kvmd.system.libvirt import connected

SOON = 20.0  # seconds, on a machine that is busy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second be enough where 15 are."""
    options = tuple(option.replace("=15", "=1") for option in ssh.OPTIONS)
    monkeypatch.setattr(ssh, "OPTIONS", options)


def uri(far: Far) -> str:
    return far.address.replace("ssh:", "xen+ssh:") + "/system?no_tty=1"


def check_ends_soon(address: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ConnectionFailed), connected(address):
        pass
    assert time.monotonic() - begun < SOON


@pytest.mark.usefixtures("impatient")
def test_host_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        check_ends_soon(f"xen+ssh://root@127.0.0.1:{silent.getsockname()[1]}/system")


@pytest.mark.usefixtures("impatient")
def test_host_that_stops_in_a_call_is_given_up(far: Far) -> None:
    """What waits for its libvirt is told so."""
    (far.folder / "authorized").write_text(
        f'command="touch {far.folder}/called; exec sleep 60" '
        + (far.folder / "key.pub").read_text()
    )
    stopped: list[int] = []

    def stop() -> None:
        while not (far.folder / "called").exists():
            time.sleep(0.02)
        for pid in far.sessions():
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        check_ends_soon(uri(far))
    finally:
        stopper.join()
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
    assert stopped


def test_key_of_a_host_is_never_accepted_unseen(far: Far) -> None:
    with (far.folder / "user").open("a") as config:
        config.write("StrictHostKeyChecking accept-new\n")
    (far.folder / "known").write_text("")
    with pytest.raises(HostKeyUnknown), connected(uri(far)):
        pass
    assert (far.folder / "known").read_text() == ""
