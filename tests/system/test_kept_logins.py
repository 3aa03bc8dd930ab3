# SPDX-License-Identifier: GPL-2.0-or-later
"""One login to a host for all that a process does there; one that is lost costs nothing."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Far
from xen2kvmd.system import ssh
from xen2kvmd.system.ssh import Connection, as_program, connected


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "logins"
    with ssh.kept(folder):
        yield folder
    assert not folder.exists()


def says(host: Connection) -> bytes:
    with host.program(["echo", "here"]) as program:
        return program.stdout.read()


def wait_until_free(far: Far) -> None:
    while far.sessions():
        time.sleep(0.02)


@pytest.mark.usefixtures("kept")
def test_all_share_one_login(far: Far) -> None:
    for _ in range(2):
        with connected(far.address) as host:
            assert says(host) == b"here\n"
        with as_program(far.address) as program:
            subprocess.run([program, "-T", "-p", "1", "--", "127.0.0.1", "true"], check=True)
    assert far.logins() == 1


def test_login_that_nobody_keeps_ends_with_its_block(far: Far) -> None:
    for _ in range(2):
        with connected(far.address) as host:
            assert says(host) == b"here\n"
        wait_until_free(far)
    assert far.logins() == 2


@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.usefixtures("kept")
def test_login_that_was_lost_is_made_anew(far: Far, whose: str) -> None:
    with connected(far.address) as host:
        (session,) = far.sessions()
        ours = subprocess.run(["pgrep", "-f", str(host.socket)], capture_output=True, text=True)
        os.kill(session if whose == "theirs" else int(ours.stdout), signal.SIGKILL)
        wait_until_free(far)
        assert says(host) == b"here\n"  # the program logs in by itself
    assert far.logins() == 2
    with connected(far.address) as host:
        assert says(host) == b"here\n"
        assert says(host) == b"here\n"
    assert far.logins() == 3


@pytest.mark.usefixtures("kept")
def test_login_whose_host_is_gone_does_not_hold_who_can_get_in_anew(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it looks where the way to the host has changed, and nobody told the old connection."""
    options = tuple(option.replace("=15", "=1") for option in ssh.OPTIONS)
    monkeypatch.setattr(ssh, "OPTIONS", options)
    with connected(far.address):
        pass
    (session,) = far.sessions()
    os.kill(session, signal.SIGSTOP)
    try:
        with connected(far.address) as host:
            assert says(host) == b"here\n"
    finally:
        os.kill(session, signal.SIGKILL)
    assert far.logins() == 2


@pytest.mark.usefixtures("kept")
def test_host_that_allows_one_program_per_login_gets_more_logins(far: Far) -> None:
    with (far.folder / "config").open("a") as config:
        config.write("MaxSessions 1\n")
    os.kill(far.pid, signal.SIGHUP)
    time.sleep(0.5)
    with connected(far.address) as host, host.program(["cat"]) as program:
        assert says(host) == b"here\n"
        program.stdin.close()
    assert far.logins() == 2


@pytest.mark.usefixtures("kept")
def test_socket_that_leads_to_another_host_goes_with_its_block(far: Far, tmp_path: Path) -> None:
    here = tmp_path / "here"
    with connected(far.address) as host:
        for _ in range(2):  # the name is free again
            with host.forwarded(here=here, there="/no/such"):
                assert here.is_socket()
            assert not here.exists()
    assert far.logins() == 1
