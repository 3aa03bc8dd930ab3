# SPDX-License-Identifier: GPL-2.0-or-later
"""What is shown of a plan's changes, and of guests."""

import pytest

from xen2kvmd.cli.show import _changes, guests, jobs


@pytest.mark.parametrize(
    "diff",
    [
        "--- /etc/fstab\n+++ /etc/fstab\n@@ -1 +1 @@\n-/dev/xvda1 /\n+/dev/vda1 /\n",
        "-kernel-xen 3.0\n+kernel-default 3.0\n",
    ],
    ids=["of a file", "of a list of packages"],
)
def test_every_changed_line_is_shown(capsys: pytest.CaptureFixture[str], diff: str) -> None:
    change = {"rule": "r", "guide": "", "summary": "s", "place": "p", "command": [], "diff": diff}
    _changes([change], diffs=True)
    shown = capsys.readouterr().out
    for line in diff.splitlines():
        assert (line in shown) is not line.startswith(("--- ", "+++ "))


def test_columns_of_jobs_are_straight_however_long_a_name_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        ("20260101-000000-00000001", "migrate", "running", "convert"),
        ("20260101-000000-00000002", "list-guests-of-a-host", "interrupted", "accelerate-it-all"),
    ]
    jobs(
        {"Id": a, "Operation": b, "State": c, "Phase": d, "Progress": 0.5, "Vm": "web[1]"}
        for a, b, c, d in rows
    )
    head, *lines = capsys.readouterr().out.splitlines()
    for name, column in (("operation", 1), ("state", 2), ("step", 3)):
        assert [line.index(row[column]) for line, row in zip(lines, rows, strict=True)] == [
            head.index(name)
        ] * 2
    assert [line.index("web[1]") for line in lines] == [head.index("guest")] * 2


@pytest.mark.parametrize(
    ("system", "line"), [("debian12", "  debian12, PV, 2 CPUs"), ("", "  PV, 2")]
)
def test_system_of_a_guest_is_shown_where_it_is_known(
    capsys: pytest.CaptureFixture[str], system: str, line: str
) -> None:
    guest = {"name": "web1", "uuid": "u", "state": "running", "kind": "linux", "os": system}
    guests([{**guest, "vcpus": 2, "memory": 1 << 30, "disks": [], "trouble": ""}])
    assert line in capsys.readouterr().out
