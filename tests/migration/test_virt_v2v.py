# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine virt-v2v: the real one, on a Debian that pygrub started."""

import hashlib
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox

pytestmark = pytest.mark.guest


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def migrate(sandbox: Sandbox, debian: Path, name: str, *more: str) -> tuple[int, str]:
    ended = sandbox.run(
        *"xen2kvm migrate --pool default --network default --engine v2v".split(),
        *("--name", name, *more, str(debian / "guest.xml")),
        seconds=1500,
    )
    return ended.code, ended.out + ended.err


def left(sandbox: Sandbox) -> str:
    """Return what a virt-v2v may leave: processes, folders of its own, disks that were copied."""
    program = (
        "import glob, subprocess\n"
        "print(*glob.glob('/tmp/v2v.*'), *glob.glob('/var/lib/xen2kvmd/jobs/*/scratch'))\n"
        "print(subprocess.run(['pgrep', '-a', 'virt-v2v|qemu-nbd|nbdkit'],"
        " capture_output=True, text=True).stdout)"
    )
    return sandbox.python(program).out.strip()


def test_virt_v2v_converts_and_our_domain_is_defined(sandbox: Sandbox, debian: Path) -> None:
    before = sha256(debian / "disk.raw")
    code, output = migrate(sandbox, debian, "web-v2v", "--no-start", "--no-verify")
    assert code == 0, output
    assert "v2v-warning" in output
    assert sha256(debian / "disk.raw") == before
    text = sandbox.run("virsh", "dumpxml", "web-v2v").out
    assert "dev='vda' bus='virtio'" in text
    assert left(sandbox) == ""


def test_a_guest_that_hangs_in_the_firmware_is_rolled_back(sandbox: Sandbox, debian: Path) -> None:
    """virt-v2v writes no boot code, and pygrub needs none: this guest cannot start."""
    code, output = migrate(sandbox, debian, "web-v2v-2", "--boot-timeout", "20")
    assert code != 0
    assert "stuck in the firmware" in output
    assert "web-v2v-2" not in sandbox.run("virsh", "list", "--all", "--name").out
    assert "web-v2v-2" not in sandbox.run("virsh", "vol-list", "default").out
    assert left(sandbox) == ""


def test_virtio_drivers_that_are_not_there_are_told_at_once(sandbox: Sandbox, debian: Path) -> None:
    code, output = migrate(sandbox, debian, "web-v2v-3", "--virtio-win", "/nowhere/virtio.iso")
    assert code != 0
    assert "/nowhere/virtio.iso" in output
