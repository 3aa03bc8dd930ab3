# SPDX-License-Identifier: GPL-2.0-or-later
"""What a rehearsal shows is what is done, and nothing is done before."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.folder import Folder
from xen2kvmd.errors import Unsupported
from xen2kvmd.guest import apply, rehearse
from xen2kvmd.guest.changes import changes
from xen2kvmd.guest.rehearsal_tree import Rehearsal
from xen2kvmd.guest.search import Found
from xen2kvmd.guest.tree import LARGEST, Tree
from xen2kvmd.model import Case, Finding
from xen2kvmd.rule import rule

CASE = Case(devices=(("xvda", "vda"),))


@rule(guide="")
def everything(guest: Tree, case: Case) -> Iterator[Finding]:
    """Do one of everything."""
    guest.write("/etc/fstab", guest.read("/etc/fstab").replace("xvda", "vda"))
    guest.write("/etc/fstab", guest.read("/etc/fstab") + "# end\n")
    guest.write("/etc/new", "new\n")
    guest.remove("/etc/old")
    guest.link("/etc/link", "/etc/new")
    guest.run("update-grub")
    yield from ()


def folder(root: Path) -> Folder:
    (root / "etc").mkdir(parents=True)
    (root / "etc/fstab").write_text("/dev/xvda1 / ext4\n")
    (root / "etc/old").write_bytes(b"caf\xe9\n")
    (root / "etc/link").symlink_to("old")
    return Folder(root)


def test_each_path_gets_one_diff_and_each_program_a_line(tmp_path: Path) -> None:
    rehearsal = Rehearsal(folder(tmp_path))
    everything(rehearsal, CASE)
    shown = {change.place: change for change in changes(everything, rehearsal, since=0)}
    assert shown["/etc/fstab"].diff == (
        "--- a/etc/fstab\n+++ b/etc/fstab\n@@ -1 +1,2 @@\n-/dev/xvda1 / ext4\n+/dev/vda1 / ext4\n"
        "+# end\n"
    )
    assert "--- /dev/null\n+++ b/etc/new" in shown["/etc/new"].diff
    assert "-caf\\xe9" in shown["/etc/old"].diff
    assert "-(link to old)\n+(link to /etc/new)\n" in shown["/etc/link"].diff
    assert shown["a program of the guest"].command == ("update-grub",)


def test_rehearsal_reads_what_it_wrote_and_the_guest_stays(tmp_path: Path) -> None:
    guest = folder(tmp_path)
    rehearsal = Rehearsal(guest)
    everything(rehearsal, CASE)
    assert rehearsal.glob("/etc/*") == ("/etc/fstab", "/etc/link", "/etc/new")
    assert rehearsal.is_file("/etc/link")
    assert not rehearsal.exists("/etc/old")
    assert guest.read("/etc/fstab") == "/dev/xvda1 / ext4\n"
    apply(guest, rehearsal.operations)
    assert guest.glob("/etc/*") == rehearsal.glob("/etc/*")
    assert guest.read("/etc/fstab") == rehearsal.read("/etc/fstab")
    assert guest.commands == [("update-grub",)]


def test_apply_tells_how_far_it_is(tmp_path: Path) -> None:
    rehearsal = Rehearsal(folder(tmp_path))
    everything(rehearsal, CASE)
    told: list[float] = []
    apply(Folder(tmp_path), rehearsal.operations, lambda done, _: told.append(done))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


def test_search_finds_what_a_rule_wrote_and_not_what_it_replaced(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("kept", "changed", "gone", "binary"):
        (tmp_path / "etc" / name).write_text("one\nhvc0 \xe9\n" + "\0" * (name == "binary"))
    (tmp_path / "etc/link").symlink_to("kept")
    (tmp_path / "etc/large").write_text("hvc0\n" * 60_000)
    rehearsal = Rehearsal(Folder(tmp_path))

    rehearsal.write("/etc/changed", "ttyS0\n")
    rehearsal.remove("/etc/gone")
    rehearsal.write("/etc/new", "xhvc0x\n")

    found = rehearsal.search("/etc", ("hvc0", "xvc0"))
    assert found == (Found("/etc/kept", 2, "hvc0 ??"), Found("/etc/new", 1, "xhvc0x"))
    assert rehearsal.search("/nothing", ("hvc0",)) == ()


@pytest.mark.parametrize("kind", ["fifo", "folder", "large", "loop"])
def test_what_is_no_configuration_file_is_a_finding(tmp_path: Path, kind: str) -> None:
    guest = folder(tmp_path)
    path = tmp_path / "etc/fstab"
    path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(b"#" * (LARGEST + 1))
        case "loop":
            path.symlink_to("fstab")
    rehearsed = rehearse(guest, CASE)
    assert "file-not-readable" in {found.id for found in rehearsed.findings}
    assert not [change for change in rehearsed.changes if change.place == "/etc/fstab"]


def test_links_do_not_lead_out_of_the_guest(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("/dev/xvda1\n")
    guest = folder(tmp_path / "guest")
    (tmp_path / "guest/etc/fstab").unlink()
    (tmp_path / "guest/etc/fstab").symlink_to("../../secret")
    (tmp_path / "guest/etc/systemd").symlink_to(tmp_path)
    guest.write("/etc/systemd/network/x.link", "x")
    with pytest.raises(Unsupported):
        guest.read("/etc/fstab")
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "guest"}
