# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy between hosts keeps to the least rate that is configured for one of them."""

from pathlib import Path

import cattrs
import pytest

from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import SourceDisk
from xen2kvmd.steps import context
from xen2kvmd.system import ssh_login


@pytest.mark.parametrize(
    ("source", "target", "rate"),
    [("", "", 0), ("xen1", "", 50), ("", "kvm2", 40), ("xen1", "kvm2", 40), ("xen2", "kvm2", 40)],
)
def test_rate_is_the_least_of_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, rate: int
) -> None:
    monkeypatch.setattr(ssh_login, "CONFIG", tmp_path / "conf")
    ssh_login.CONFIG.write_text("[Host xen1]\nRateLimit=50\n[Host kvm2]\nRateLimit=40\n")
    host = f"ssh://root@{source}" if source else ""
    spec = {"operation": "migrate", "source": "xen:///system"}
    spec |= {"target": f"qemu+ssh://root@{target}/system"} if target else {}
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "socket", "j1")
    run = Run("j1", tmp_path, spec, journal, sender, cancelled=lambda: False)
    run.notes["disks"] = cattrs.unstructure([SourceDisk("xvda", "/xvda", "raw", 1, 1, host)])
    assert context.pace(run).rate == rate
    journal.close()
    sender.close()
