# SPDX-License-Identifier: GPL-2.0-or-later
"""A job logs in once to a host, whatever of it reaches that host by ssh."""

import pytest

from tests.migration.sandbox import Sandbox
from tests.migration.sshd import know_each_other
from tests.migration.test_far_target import URI as TARGET
from tests.migration.test_source_host import SSH_URI as SOURCE

COUNT = "grep -c 'Accepted publickey' /run/far/log"


def logins(sandbox: Sandbox) -> int:
    return int(sandbox.run("sh", "-c", COUNT).out)


@pytest.mark.guest
def test_migration_logs_in_to_each_host_once(
    sandbox: Sandbox, source_host: None, sshd: None
) -> None:
    """The source's disks, its libvirt, the target's libvirt and its disks: all one host here."""
    know_each_other(sandbox)
    argv = ("xen2kvm", "migrate", "-c", SOURCE, "--target", TARGET, "--network", "default")
    ended = sandbox.run(*argv, "tiny1")
    assert ended.code == 0, ended.err + ended.out
    assert logins(sandbox) == 1
