# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking xl for a guest: a script in its place, on this host and behind a real sshd."""

from pathlib import Path

import cattrs
import pytest

from tests.system.conftest import Far
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Operation, PathMap, Request
from xen2kvmd.steps.xl import State, ask
from xen2kvmd.system import kvm, xl_there

# Answers as xl does: to which guest runs by its exit code, and to nothing where Xen does not run.
XL = """#!/bin/sh
[ ! -e "{folder}/no-xen" ] || exit 1
[ "$*" = list ] || [ "$*" = "domid -- web 1;'" ]
"""
NAME = "web 1;'"
GUEST = f"""<domain type='xen'><name>{NAME}</name><memory>65536</memory><os><type>hvm</type></os>
<devices><disk type='block'><source dev='/dev/vg0/web1'/><target dev='xvda'/></disk></devices>
</domain>"""


@pytest.fixture
def xl(tmp_path: Path) -> Path:
    """The folder with xl."""
    folder = tmp_path / "xl"
    folder.mkdir()
    (folder / "xl").write_text(XL.format(folder=folder))
    (folder / "xl").chmod(0o755)
    return folder


@pytest.fixture
def sshd_options(xl: Path) -> str:
    return f"SetEnv PATH={xl}:/usr/bin:/bin"


def test_xl_of_another_host_knows_what_runs(far: Far, xl: Path) -> None:
    assert xl_there.runs(NAME, far.address) is True
    assert xl_there.runs("web", far.address) is False
    (xl / "no-xen").touch()
    assert xl_there.runs(NAME, far.address) is None
    (xl / "xl").unlink()
    assert xl_there.runs(NAME, far.address) is None


def test_xl_of_this_host_knows_what_runs_under_xen(
    xl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{xl}:/usr/bin:/bin")
    assert xl_there.runs(NAME, "") is None  # there is an xl, and no Xen
    monkeypatch.setattr(kvm, "under_xen", lambda: True)
    assert xl_there.runs(NAME, "") is True
    assert xl_there.runs("web", "") is False
    (xl / "no-xen").touch()
    assert xl_there.runs(NAME, "") is None
    (xl / "xl").unlink()
    assert xl_there.runs(NAME, "") is None


def test_host_whose_disks_are_read_is_asked(far: Far, tmp_path: Path) -> None:
    maps = (PathMap("/", far.address, "/"),)
    request = Request(Operation.PLAN, "libvirtxml:/x", path_map=maps)
    (tmp_path / "source.xml").write_text(GUEST)
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "events", "1")
    spec = cattrs.unstructure(request)
    run = Run("1", tmp_path, spec, journal, sender, cancelled=lambda: False)
    where = far.address.replace("ssh://root@", "the host ")
    assert ask(run, runs=None) == State(NAME, runs=True, where=where)
    assert ask(run, runs=False) == State(NAME, runs=True, where=where)
    assert ask(run, runs=True) == State(NAME, runs=True)  # libvirt shuts it down
    journal.close()
    sender.close()
