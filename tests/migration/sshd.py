# SPDX-License-Identifier: GPL-2.0-or-later
"""Another host: the sandbox itself, by an ssh server of its own on port 2222."""

from tests.migration.sandbox import Sandbox
from tests.migration.xenhost import shell

SSHD_UP = """
mkdir -p /run/sshd /run/far
cd /run/far
for key in host key; do ssh-keygen -q -t ed25519 -N '' -f $key; done
cat >sshd_config <<END
Port 2222
ListenAddress 127.0.0.1
HostKey /run/far/host
AuthorizedKeysFile /run/far/authorized
PidFile /run/far/pid
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
END
cat >ssh_config <<END
Host *
  IdentityFile /run/far/key
  IdentitiesOnly yes
  UserKnownHostsFile /run/far/known
END
mount --bind ssh_config /etc/ssh/ssh_config
/usr/sbin/sshd -f sshd_config -E /run/far/log
for _ in $(seq 100); do [ -s pid ] && exit; sleep 0.1; done
exit 1
"""
# The server removes its pid file itself, once it listens no more.
SSHD_DOWN = """
kill $(cat /run/far/pid) || true
for _ in $(seq 100); do [ -e /run/far/pid ] || break; sleep 0.1; done
umount /etc/ssh/ssh_config
rm -r /run/far
"""
KNOW_HOST = "echo \"[localhost]:2222 $(cut -d' ' -f1,2 /run/far/host.pub)\" >/run/far/known"
KNOW_KEY = "cp /run/far/key.pub /run/far/authorized"


def know_each_other(sandbox: Sandbox) -> None:
    """Let root's ssh know the host, and the host root's key."""
    shell(sandbox, KNOW_HOST)
    shell(sandbox, KNOW_KEY)
