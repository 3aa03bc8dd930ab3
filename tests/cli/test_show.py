# SPDX-License-Identifier: GPL-2.0-or-later
"""What a plan shows of its changes."""

import pytest

from xen2kvmd.cli.show import _changes


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
