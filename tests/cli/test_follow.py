# SPDX-License-Identifier: GPL-2.0-or-later
"""What is printed while a job is followed."""

import json
import time
from typing import Any

import pytest

from xen2kvmd.cli import follow
from xen2kvmd.cli.__main__ import _complain
from xen2kvmd.cli.follow import _Lines
from xen2kvmd.cli.service import CallFailed

JOB = {
    "State": "running",
    "Phase": "inspect",
    "Progress": 0.01,
    "ProgressValid": True,
    "Activity": "starting the appliance",
    "BytesTotal": 0,
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def lines(
    clock: list[float], capsys: pytest.CaptureFixture[str], *looks: dict[str, Any]
) -> list[str]:
    """Return what is printed of looks that are ten seconds apart."""
    shown = _Lines()
    for look in looks:
        shown.show({**JOB, **look})
        clock[0] += follow.LINE_EVERY
    return capsys.readouterr().err.splitlines()


def test_a_line_without_news_comes_once_a_minute(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(lines(clock, capsys, *[{}] * 24)) == 4


def test_news_are_printed(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    new: list[dict[str, Any]] = [{"Progress": 0.02}, {"Activity": "mounting"}, {"Phase": "plan"}]
    assert len(lines(clock, capsys, {}, *new)) == 4


def test_an_error_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    _complain(CallFailed("NoReply", "It is gone.", "Look for it."), as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["name"] == "NoReply"
