# SPDX-License-Identifier: GPL-2.0-or-later
"""What the README prints can be typed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
README = re.sub(r" \\\n +", " ", (CHECKOUT / "README.md").read_text())  # a command is one line

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox is root's"),
]


def guest() -> str:
    build = [str(CHECKOUT / "tests/guests/build"), "tiny"]
    return subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip()


def in_sandbox(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run lines as root types them where web1.xml is; /tmp is the sandbox's own then."""
    script = "mount -t tmpfs tmpfs /tmp\ncd /tmp\n" + "\n".join(lines)
    return subprocess.run(
        [str(CHECKOUT / "tools/sandbox"), "bash", "-ec", script],
        cwd=CHECKOUT,  # where a reader stands
        capture_output=True,
        text=True,
        check=False,
    )


def test_four_busctl_lines_migrate() -> None:
    lines = re.findall(r"^    (busctl .*)$", README, re.MULTILINE)
    assert len(lines) == 4
    done = in_sandbox(f"cp {guest()}/guest.xml web1.xml", *lines, "virsh list --name")
    assert done.returncode == 0, done.stdout + done.stderr
    made, waited, result, report, domain = done.stdout.strip().splitlines()
    assert made == 'o "/org/xen2kvm/Migrator1/jobs/u0_web1"'
    assert waited == 'sss "succeeded" "" ""'
    assert '"domain" s "web1-kvm"' in result
    assert '\\"state\\": \\"succeeded\\"' in report
    assert domain == "web1-kvm"


def test_two_lines_of_the_client_migrate() -> None:
    lines = re.findall(r"^    root@kvmhost# (xen2kvm \w+ web1.xml .*)$", README, re.MULTILINE)
    assert len(lines) == 2
    done = in_sandbox(f"cp {guest()}/guest.xml web1.xml", *lines, "virsh list --name")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1] == "web1-kvm"
