# SPDX-License-Identifier: GPL-2.0-or-later
"""An sshd as old hosts have it: it knows RSA with SHA-1 only, which new ssh programs leave out.

A real one of today, which is told to offer no more than OpenSSH before 7.2 did (RHEL 5 and 6, SLES
11): what ssh(1) says of it are the words that a user gets.
"""

import subprocess
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import pytest

from tests.system.conftest import Far
from xen2kvmd.errors import ConnectionFailed, MigrationError, SourceAuthFailed
from xen2kvmd.system import ssh
from xen2kvmd.system.libvirt import connected as libvirt_connected

OLD_KEYS = "PubkeyAcceptedAlgorithms ssh-rsa"
OLD_HOST_KEY = "HostKeyAlgorithms ssh-rsa"
OLD_EXCHANGE = "KexAlgorithms diffie-hellman-group14-sha1"


@pytest.fixture
def old(far: Far) -> Far:
    """Give root's ssh, and the host, keys of RSA."""
    for key in ("key", "host"):
        (far.folder / key).unlink()
        argv = ["ssh-keygen", "-qt", "rsa", "-N", "", "-f", str(far.folder / key)]
        subprocess.run(argv, check=True)
    (far.folder / "authorized").write_text((far.folder / "key.pub").read_text())
    kind, key = (far.folder / "host.pub").read_text().split()[:2]
    (far.folder / "known").write_text(f"[127.0.0.1]:{urlsplit(far.address).port} {kind} {key}\n")
    far.reload()
    return far


def refused(reach: AbstractContextManager[object]) -> MigrationError:
    with pytest.raises(MigrationError) as raised, reach:
        pass
    return raised.value


def both_ways(far: Far) -> list[MigrationError]:
    by_libvirt = far.address.replace("ssh://", "xen+ssh://") + "/system"
    return [refused(ssh.connected(far.address)), refused(libvirt_connected(by_libvirt))]


@pytest.mark.parametrize(
    ("sshd_options", "kind", "line"),
    [
        (OLD_KEYS, SourceAuthFailed, "PubkeyAcceptedAlgorithms +ssh-rsa"),
        (OLD_HOST_KEY, ConnectionFailed, "HostKeyAlgorithms +ssh-rsa"),
        (OLD_EXCHANGE, ConnectionFailed, "KexAlgorithms +diffie-hellman-group14-sha1"),
    ],
)
def test_hint_for_an_old_host_lets_root_in(old: Far, kind: type[MigrationError], line: str) -> None:
    """What the hint says is written to the configuration of ssh, and the host lets us in.

    Only the algorithm of our key has to stand alone, without +: an sshd of today offers those that
    it does not take, too, and ssh would choose one of them; an old one offers none.
    """
    for error in both_ways(old):
        assert type(error) is kind, error
        assert "/root/.ssh/config" in error.hint
        assert f"'Host 127.0.0.1' and '{line}'" in error.hint
    with (old.folder / "user").open("a") as user:
        user.write(f"{line.replace('Algorithms +', 'Algorithms ')}\n")
    with ssh.connected(old.address) as host, host.program(["id", "-un"]) as program:
        assert program.stdout.read() == b"root\n"


@pytest.mark.parametrize("sshd_options", [OLD_KEYS])
def test_hint_for_an_old_host_names_another_kind_of_key(old: Far) -> None:
    assert "ed25519" in refused(ssh.connected(old.address)).hint
