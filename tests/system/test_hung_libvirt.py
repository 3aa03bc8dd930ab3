# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirt that takes a connection and says nothing, or takes none."""

import socket
from pathlib import Path

import pytest

from xen2kvmd.errors import ConnectionFailed
from xen2kvmd.system import libvirt_link
from xen2kvmd.system.libvirt import connected


def test_libvirt_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_link, "OPENED", 0.3)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "socket"))
        silent.listen()
        with (
            pytest.raises(ConnectionFailed, match="does not answer") as raised,
            connected(f"test+unix:///default?socket={tmp_path}/socket"),
        ):
            pass
    assert "restart it" in raised.value.hint


def test_xen_that_this_host_has_not_may_be_anothers() -> None:
    with pytest.raises(ConnectionFailed, match="libvirt at xen:///system") as raised:
        with connected("xen:///system?socket=/nowhere"):
            pass
    assert "-c xen+ssh://root@HOST/system" in raised.value.hint
