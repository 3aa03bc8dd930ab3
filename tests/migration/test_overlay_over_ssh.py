# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of another host, whose disk is an overlay over a template, is migrated and backed up."""

from pathlib import Path

import pytest

from tests.guest.built import sha256
from tests.migration.sandbox import Sandbox
from tests.migration.sshd import know_each_other
from xen2kvmd.system.disk import make_overlay

pytestmark = pytest.mark.guest


def test_overlay_over_a_template_is_migrated_over_ssh(
    sandbox: Sandbox, sshd: None, tiny: Path, tmp_path: Path
) -> None:
    know_each_other(sandbox)
    template, saved = tmp_path / "template.raw", tmp_path / "saved"
    template.symlink_to(tiny / "disk.raw")
    saved.mkdir()
    make_overlay(tmp_path / "middle.qcow2", base="template.raw", base_format="raw")
    make_overlay(tmp_path / "disk.qcow2", base="middle.qcow2", base_format="qcow2")
    text = (tiny / "guest.xml").read_text().replace(str(tiny / "disk.raw"), "/there/disk.qcow2")
    (tmp_path / "guest.xml").write_text(text.replace("type='raw'", "type='qcow2'"))
    before = [sha256(tmp_path / name) for name in ("middle.qcow2", "disk.qcow2")]
    ended = sandbox.run(
        "xen2kvm", "migrate", "--network", "default", "--backup-disks", str(saved), "--no-start",
        "--path-map", f"/there=ssh://root@localhost:2222{tmp_path}", f"{tmp_path}/guest.xml",
    )  # fmt: skip
    assert ended.code == 0, ended.err + ended.out
    assert [sha256(tmp_path / name) for name in ("middle.qcow2", "disk.qcow2")] == before
    (image,) = saved.glob("*/xvda.qcow2")
    compared = sandbox.run("qemu-img", "compare", str(image), str(tmp_path / "disk.qcow2"))
    assert compared.code == 0, compared.out + compared.err
