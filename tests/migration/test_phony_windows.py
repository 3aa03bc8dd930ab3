# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole job with what virt-v2v takes for Windows: it converts it, and nothing in it can start."""

import json
from pathlib import Path

import pytest

from tests.migration import hvm, phony_windows
from tests.migration.sandbox import Sandbox
from tests.migration.test_undo import JOBS, check_nothing_left, show, temporary

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def phony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phony")
    phony_windows.make(folder / "disk.raw")
    (folder / "guest.xml").write_text(hvm.document("phony", folder / "disk.raw", memory=1024))
    return folder / "guest.xml"


def test_virt_v2v_converts_and_a_guest_that_cannot_start_is_rolled_back(
    sandbox: Sandbox, phony: Path
) -> None:
    """Without drivers virt-v2v does not need the program that the plan misses."""
    before, disk = temporary(sandbox), phony.with_name("disk.raw").read_bytes()
    begun = sandbox.run(
        *("xen2kvm", "migrate", "--detach", "--waive", "v2v-no-service"),
        *("--boot-timeout", "10", str(phony)),
    )
    assert begun.code == 0, begun.err
    job = begun.out.strip()

    followed = sandbox.run("xen2kvm", "follow", job)

    log = sandbox.run("cat", f"{JOBS}/{job}/log").out
    assert followed.code == 1, log
    assert "Converting Windows 7 Phony to run on KVM" in log
    assert "Step copy begins" in log
    shown = show(sandbox, job)
    assert shown["Result"]["guest"] == "Windows"
    findings = sandbox.json("xen2kvm", "report", "--json", job)["findings"]
    said = [found["said"] for found in findings if found["id"] == "v2v-warning"]
    assert any("no virtio drivers" in words for words in said)
    public = [found for found in shown["Findings"] if found["id"] == "v2v-warning"]
    assert len(public) == len(said)
    assert "no virtio drivers" not in json.dumps(public)  # which everybody may read
    assert shown["ErrorName"] == "VerifyFailed", log
    assert "stuck in the firmware" in shown["ErrorMessage"]
    check_nothing_left(sandbox, job, before)
    assert phony.with_name("disk.raw").read_bytes() == disk
