# SPDX-License-Identifier: GPL-2.0-or-later
"""Which hooks are found, and which are refused because others than root could change them."""

import os
from pathlib import Path

import pytest

from xen2kvmd.errors import HookRefused
from xen2kvmd.system.hooks import TIMEOUT, Found, find

PHASES = (("before", True), ("after", False))


def make(path: Path, *, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def names(found: Found) -> list[str]:
    return [hook.name for hook in found.hooks]


def test_no_folder_is_no_hooks(tmp_path: Path) -> None:
    assert find(tmp_path / "none", PHASES) == {"before": Found((), ()), "after": Found((), ())}


def test_hooks_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("20-b.sh", "10-a", "30-c", ".hidden", "10-a~", "10-a.dpkg-old"):
        make(tmp_path / "before" / name)
    found = find(tmp_path, PHASES)
    assert names(found["before"]) == ["before/10-a", "before/20-b.sh", "before/30-c"]
    assert [(hook.timeout, hook.required) for hook in found["before"].hooks] == [
        (TIMEOUT, True)
    ] * 3


def test_file_that_is_not_executable_is_told_of(tmp_path: Path) -> None:
    path = make(tmp_path / "before/10-a", mode=0o644)
    assert find(tmp_path, PHASES)["before"] == Found((), (path,))


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
@pytest.mark.parametrize("part", ["before/10-a", "before", ".", "hooks.conf"])
def test_what_others_can_write_is_refused(tmp_path: Path, part: str, mode: int) -> None:
    folder = tmp_path / "hooks"
    make(folder / "before/10-a")
    (folder / "hooks.conf").touch(mode=0o644)
    (folder / part).chmod(mode)
    with pytest.raises(HookRefused, match="can be written by others") as caught:
        find(folder, PHASES)
    assert "chmod go-w" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("part", ["before/10-a", "before", "."])
def test_what_belongs_to_another_is_refused(tmp_path: Path, part: str) -> None:
    folder = tmp_path / "hooks"
    make(folder / "before/10-a")
    os.chown(folder / part, 12345, 0)
    with pytest.raises(HookRefused, match="does not belong to root"):
        find(folder, PHASES)


def test_link_is_followed_and_every_place_on_its_way_looked_at(tmp_path: Path) -> None:
    make(tmp_path / "else/program")
    folder = tmp_path / "hooks"
    (folder / "before").mkdir(parents=True)
    (tmp_path / "between").symlink_to("else")
    (folder / "before/10-a").symlink_to(tmp_path / "between/program")
    assert names(find(folder, PHASES)["before"]) == ["before/10-a"]
    (tmp_path / "else").chmod(0o777)
    with pytest.raises(HookRefused, match="else can be written"):
        find(folder, PHASES)


def test_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "before/10-a").symlink_to("/nonexistent/program")
    with pytest.raises(HookRefused, match="is no file"):
        find(tmp_path, PHASES)


def test_misspelt_phase_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "befor/10-a")
    with pytest.raises(HookRefused, match="no phase 'befor'"):
        find(tmp_path, PHASES)


def test_settings_of_a_hook_come_before_those_of_its_phase_and_of_all(tmp_path: Path) -> None:
    for name in ("before/10-a", "before/20-b", "after/10-c"):
        make(tmp_path / name)
    (tmp_path / "hooks.conf").write_text(
        "[all]\ntimeout = 5\n[before]\ntimeout = 6\n[before/20-b]\ntimeout = 7\non-failure = warn\n"
        "[after]\non-failure = fail\n"
    )
    found = find(tmp_path, PHASES)
    hooks = [*found["before"].hooks, *found["after"].hooks]
    assert [(hook.timeout, hook.required) for hook in hooks] == [(6, True), (7, False), (5, True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timeout = 5\n", "cannot be read"),
        ("[befor]\ntimeout = 5\n", "no phase 'befor'"),
        ("[before]\ntime = 5\n", "key 'time'"),
        ("[before]\ntimeout = 0\n", "no number of seconds: '0'"),
        ("[before]\ntimeout = -1\n", "no number of seconds: '-1'"),
        ("[before]\ntimeout = 5 min\n", "no number of seconds"),
        ("[all]\non-failure = panic\n", "'panic'"),
        ("[before/10-b]\ntimeout = 5\n", "'before/10-b', which is not there"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, text: str, said: str) -> None:
    make(tmp_path / "before/10-a")
    (tmp_path / "hooks.conf").write_text(text)
    with pytest.raises(HookRefused, match=said) as caught:
        find(tmp_path, PHASES)
    assert caught.value.hint
