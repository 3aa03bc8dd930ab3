# SPDX-License-Identifier: GPL-2.0-or-later
"""The report: what it says of a job, and that its page is text whatever a guest wrote."""

import base64
import hashlib
import json
import shlex
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from xen2kvmd.jobs import page, report
from xen2kvmd.jobs.going_back import MERGING
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.picture import PNG, as_png
from xen2kvmd.jobs.status import Event, JobState
from xen2kvmd.jobs.store import JobRecord, Store

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\x00\u202e\udc80\ufffe"
ENDED = {
    "state": JobState.SUCCEEDED,
    "error_name": "",
    "error_message": "",
    "error_said": "Kernel panic",
}
NAME = "web 1'; reboot #"


def record(**spec: Any) -> JobRecord:
    return JobRecord(
        id="u0_web1", operation="migrate", vm="", source="libvirtxml:/tmp/web1.xml",
        target="default", owner_uid=0, created_at=1_000_000, spec=spec,
    )  # fmt: skip


def plan(text: str) -> dict[str, Any]:
    volume = {"pool": "", "name": text, "path": f"/srv/{text}", "format": "qcow2"}
    source = {"dev": "xvda", "path": text, "size": 2 << 30, "allocated": 1 << 30}
    change = {"rule": "r", "guide": text, "summary": text, "place": text, "command": []}
    return {
        "source_name": text,
        "bytes_total": 1 << 30,
        "disks": [{"device": "vda", "source": source, "volume": volume}],
        "changes": [
            {**change, "diff": f"--- a\n+++ b\n-{text}\n+{text}\n"},
            {**change, "diff": "", "command": ["sh", text]},
            {**change, "diff": "", "place": "domain XML"},
        ],
    }


def events(text: str) -> list[Event]:
    finding = {"id": "f-1", "severity": "blocker", "message": text, "hint": text, "place": text}
    finding["said"] = text
    return [
        {"type": "step-begun", "step": "shutdown", "time": 2_000_000},
        {"type": "note", "key": "shutdown-asked", "value": "x", "time": 2_500_000},
        {"type": "step-done", "step": "shutdown", "time": 4_000_000},
        {"type": "finding", "finding": finding, "time": 5_000_000},
        {"type": "result", "key": "name", "value": text, "time": 6_000_000},
        {"type": "result", "key": "boot", "value": text, "time": 64_500_000},
    ]


def page_of(folder: Path, text: str) -> str:
    (folder / "plan.json").write_text(json.dumps(plan(text)))
    (folder / "console.log").write_bytes(text.encode("utf-8", "surrogatepass") + b"\nlogin: ")
    pixels = bytes(range(12))
    (folder / "screenshot.ppm").write_bytes(b"P6\n2 2\n255\n" + pixels)
    report.write(record(waive=["f-1"]), events(text), ENDED, folder)
    return (folder / "report.html").read_text("utf-8")


def test_report_says_what_the_job_did(tmp_path: Path) -> None:
    page_of(tmp_path, NAME)
    made = json.loads((tmp_path / "report.json").read_text())
    assert (made["guest"], made["downtime"], made["bytes"]) == (NAME, 62.0, 1 << 30)
    assert (made["waived"], len(made["changes"]), len(made["disks"])) == (["f-1"], 3, 1)


def test_page_has_all_of_it(tmp_path: Path) -> None:
    text = html.fromstring(page_of(tmp_path, NAME)).text_content()
    for said in (
        "migrate of " + NAME,
        "1:02 (minutes:seconds)",
        "1.0 GiB",
        "waived",
        "login:",
        "Kernel panic",
        "shutdown",
    ):
        assert said in text


def test_what_a_guest_wrote_is_text_and_nothing_else(tmp_path: Path) -> None:
    source = page_of(tmp_path, EVIL)
    assert not set("\x00\x1b\u202e\udc80\ufffe") & set(source)
    tree = html.fromstring(source)
    harmless = {"http-equiv", "content", "charset", "class", "lang", "alt", "src"}
    for element in tree.iter():
        assert element.tag not in ("script", "iframe", "object", "link", "a", "form")
        assert set(element.attrib) <= harmless
        assert "alert" not in "".join(map(str, element.attrib.values()))
    assert [image.get("src", "")[:22] for image in tree.iter("img")] == ["data:image/png;base64,"]
    assert tree.text_content().count("<script>alert(1)</script>") >= 8


def test_policy_allows_no_script_and_the_very_style(tmp_path: Path) -> None:
    tree = html.fromstring(page_of(tmp_path, NAME))
    (policy,) = tree.xpath("//meta[@http-equiv]/@content")
    (style,) = tree.xpath("//style/text()")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script" not in policy


def test_fault_in_drawing_does_not_fail_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "screenshot.ppm").write_bytes(b"P6\n9 9\n255\n" + b"torn")
    (tmp_path / "report.html").mkdir()
    report.write(record(), [], ENDED, tmp_path)
    assert "report.html could not be written" in caplog.text
    assert json.loads((tmp_path / "report.json").read_text())["downtime"] is None


@pytest.mark.parametrize(
    ("events_", "seconds"),
    [
        ([("note", "shutdown-asked", 1)], None),
        ([("result", "boot", 9)], None),
        ([("note", "shutdown-asked", 1), ("result", "boot", 9)], 8.0),
        ([("note", "shutdown-asked", 1), ("step-undone", "shutdown", 5)], 4.0),
    ],
)
def test_downtime_is_measured_or_not_claimed(
    events_: Sequence[tuple[str, str, int]], seconds: float | None
) -> None:
    heard = [{"type": t, "key": k, "step": k, "time": s * 1_000_000} for t, k, s in events_]
    assert report.downtime(heard) == seconds


def test_commands_of_the_way_back_are_quoted(tmp_path: Path) -> None:
    made = report.make(record(), events(NAME), ENDED, plan=plan(NAME))
    commands = [shlex.split(way["command"]) for way in made["go_back"] if way["command"]]
    assert commands[0] == ["xen2kvm", "rollback", made["job"]["id"]]
    assert commands[1] == ["virsh", "destroy", "--", NAME]
    assert ["virsh", "start", "--", NAME] in commands
    assert commands[-1] == ["rm", "--", f"/srv/{NAME}"]


def test_the_way_back_goes_to_the_host_that_has_the_guest() -> None:
    there = "qemu+ssh://root@kvm2/system"
    made = report.make(replace(record(), target=there), events(NAME), ENDED, plan=plan(NAME))
    commands = [shlex.split(way["command"]) for way in made["go_back"] if way["command"]]
    assert ["virsh", "-c", there, "destroy", "--", NAME] in commands
    assert ["virsh", "-c", there, "undefine", "--nvram", "--", NAME] in commands
    assert ["virsh", "destroy", "--", NAME] not in commands


def test_what_builds_on_the_sources_images_goes_before_the_source_starts() -> None:
    in_place = replace(record(), spec={"in_place": True})
    made = report.make(in_place, events(NAME), ENDED, plan=plan(NAME))
    commands = [shlex.split(way["command"]) for way in made["go_back"] if way["command"]]
    removed, started = (
        commands.index(command)
        for command in (["rm", "--", f"/srv/{NAME}"], ["virsh", "start", "--", NAME])
    )
    assert removed < started


def test_report_is_written_again_when_the_migration_is_settled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    in_place = replace(record(), spec={"in_place": True})
    store.create(in_place)
    folder = store.path(in_place.id)
    (folder / "plan.json").write_text(json.dumps(plan(NAME)))
    journal = Journal(folder / "journal")
    journal.append("ended", **ENDED)
    report.write_again(store, in_place.id)
    before = json.loads((folder / "report.json").read_text())
    assert before["go_back"][1]["command"] == f"xen2kvm rollback {in_place.id}"
    journal.append("note", key=MERGING, value="j2")
    journal.append("settled", how="finalize by job j2")
    journal.close()
    report.write_again(store, in_place.id)
    after = json.loads((folder / "report.json").read_text())
    (way,) = after["go_back"]
    assert "no way back" in way["says"]
    assert after["settled"] == "finalize by job j2"
    assert after["finished_at"] == before["finished_at"]


@pytest.mark.parametrize(
    ("how", "says"),
    [("rollback by job j2", "gone back on"), ("finalize by job j2", "accepted")],
)
def test_a_settled_migration_is_not_to_be_rolled_back_again(how: str, says: str) -> None:
    settled = [*events(NAME), {"type": "settled", "how": how}]
    made = report.make(record(), settled, ENDED, plan=plan(NAME))
    assert says in made["go_back"][0]["says"]
    commands = [way["command"].split()[:2] for way in made["go_back"]]
    assert ["xen2kvm", "rollback"] not in commands
    assert (["virsh", "start"] in commands) == how.startswith("finalize")


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED])
def test_a_job_that_failed_asks_nobody_to_remove_anything(state: JobState) -> None:
    made = report.make(record(), [], {**ENDED, "state": state}, plan={})
    (way,) = made["go_back"]
    assert way["command"] == ""
    assert ("Not all" in way["says"]) == (state is JobState.INTERRUPTED)


@pytest.mark.parametrize("undone", [False, True])
def test_a_job_that_left_the_source_off_tells_how_to_start_it(*, undone: bool) -> None:
    finding = {"id": "left-behind", "severity": "warning", "message": "", "hint": ""}
    heard: list[Event] = [
        {"type": "note", "key": "backup", "value": "/b/web1.xml", "time": 1},
        {"type": "step-begun", "step": "shutdown", "time": 2},
        {"type": "note", "key": "shutdown-asked", "value": "u0_web1", "time": 3},
        {"type": "rollback", "time": 4},
        {"type": "finding", "finding": finding, "time": 5},
    ]
    heard += [{"type": "step-undone", "step": "shutdown", "time": 6}] if undone else []
    source = "xen+ssh://root@xen1/system"
    asked = replace(record(), source=source, vm="web1")
    made = report.make(asked, heard, {**ENDED, "state": JobState.FAILED}, plan={})
    commands = [shlex.split(way["command"]) for way in made["go_back"] if way["command"]]
    virsh = ["virsh", "-c", source]
    by_hand = [[*virsh, "start", "--", "web1"], [*virsh, "create", "--", "/b/web1.xml"]]
    assert commands == ([] if undone else by_hand)


def test_screen_becomes_a_png() -> None:
    png = as_png(b"P6\n2 1\n255\nabcdef")
    assert png is not None
    assert png.startswith(PNG)
    at = png.index(b"IDAT")
    (size,) = struct.unpack(">I", png[at - 4 : at])
    assert zlib.decompress(png[at + 4 : at + 4 + size]) == b"\0abcdef"
    assert as_png(png) == png


@pytest.mark.parametrize("data", [b"", b"P5\n1 1\n255\na", b"P6\n2 2\n255\nabc", b"P6\n0 0\n255\n"])
def test_what_is_no_picture_is_left_out(data: bytes) -> None:
    assert as_png(data) is None


def test_long_diff_is_cut_and_says_so() -> None:
    shown = page._diff("+x\n" * (page.DIFF_LINES + 7))
    assert "7 more lines" in "".join(shown.itertext())
