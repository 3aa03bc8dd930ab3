# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's report as a page that a person reads: one HTML file, which loads and runs nothing.

What guests and callers wrote gets into text nodes only, and their control characters do not get in
at all. The policy of the page would stop a script or a request even if one got in.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lxml import etree

from xen2kvmd import __version__
from xen2kvmd.jobs.picture import MOST, as_png
from xen2kvmd.model import Operation
from xen2kvmd.words import amount, duration, printable, without_escapes
from xen2kvmd.xml import Element

Document = Mapping[str, Any]

CONSOLE_LINES = 60
DIFF_LINES = 400  # of one change: a page has to open
TAIL = 64 << 10  # bytes of the console's log that are read

_RANK = {"blocker": 0, "warning": 1, "info": 2}
_LINE = {"+": "add", "-": "del"}


def render(report: Document, folder: Path) -> str:
    """Return the page for a report; console's log and screenshot lie in the job's folder."""
    title = f"{report['job']['operation']} of {report['guest']}: {report['state']}"
    body = _tag("body", _tag("h1", title, kind=report["state"]), *_head(report))
    for name, parts in (
        ("Steps", _steps(report["steps"])),
        ("Disks", _disks(report)),
        ("Findings", _findings(report)),
        ("Changes of the domain XML", _changes(report, of_domain=True)),
        ("Changes inside the guest", _changes(report, of_domain=False)),
        ("Proof", _proof(report, folder)),
        ("How to go back", _go_back(report["go_back"])),
    ):
        inside = list(parts)
        if inside:
            body.append(_tag("section", _tag("h2", name), *inside))
    body.append(_tag("p", f"Written by xen2kvm {__version__}.", kind="dim"))
    page = _tag("html", _page_head(title), body)
    page.set("lang", "en")
    return "<!DOCTYPE html>\n" + etree.tostring(page, encoding="unicode", method="html") + "\n"


def _tag(name: str, *inside: Element | str, kind: str = "") -> Element:
    """Return an element; a string inside becomes text, and can be nothing else."""
    element = etree.Element(name)
    for part in inside:
        if not isinstance(part, str):
            element.append(part)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + printable(part)
        else:
            element.text = (element.text or "") + printable(part)
    if kind:
        element.set("class", kind)
    return element


def _page_head(title: str) -> Element:
    """Return the head with its policy, which names the one style sheet by its hash (CSP 3)."""
    style = Path(__file__).with_name("report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    metas = ({"charset": "utf-8"}, {"http-equiv": "Content-Security-Policy", "content": policy})
    head = _tag("head", *(etree.Element("meta", meta) for meta in metas))
    head.append(_tag("title", title))
    sheet = etree.SubElement(head, "style")
    sheet.text = style
    return head


def _head(report: Document) -> Iterator[Element]:
    job = report["job"]
    seconds = (report["finished_at"] - job["created_at"]) / 1e6
    down = report["downtime"]
    rows = [
        ("job", job["id"]),
        ("source", job["source"]),
        ("target", report["results"].get("name", job["target"])),
        ("asked for by", f"user id {job['owner_uid']}"),
        ("asked for", _moment(job["created_at"])),
        ("ended", f"{_moment(report['finished_at'])}, after {duration(seconds)}"),
    ]
    if report["bytes"]:
        rows.append(("data of the disks", amount(report["bytes"])))
    if job["operation"] == Operation.MIGRATE:
        said = "not measured: this job did not stop a running guest and see it run again"
        rows.append(("downtime", said if down is None else f"{duration(down)} (minutes:seconds)"))
    rows += [(f"result: {key}", str(value)) for key, value in report["results"].items()]
    if report["error_name"]:
        yield _tag("p", f"{report['error_name']}: {report['error_message']}", kind="error")
    if report["error_said"]:
        yield _tag("p", f"The last that was printed: {report['error_said']}")
    yield _table((), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Element | str]]) -> Element:
    """Return a table; without a head, the first cell of each row is one."""
    table = _tag("table")
    if head:
        table.append(_tag("tr", *(_tag("th", name) for name in head)))
    for row in rows:
        first, *others = row
        name = "td" if head else "th"
        table.append(_tag("tr", _tag(name, first), *(_tag("td", cell) for cell in others)))
    return table


def _steps(steps: Sequence[Document]) -> Iterator[Element]:
    if steps:
        yield _table(
            ("step", "outcome", "begun", "seconds"),
            (
                (
                    step["name"],
                    _tag(
                        "span",
                        step["outcome"] + (", undone" if step.get("undone") else ""),
                        kind="done" if step["outcome"] == "done" else "failed",
                    ),
                    _moment(step["begun_at"]),
                    f"{step['seconds']:.1f}",
                )
                for step in steps
            ),
        )


def _most(disk: Document) -> int:
    """Return how many bytes of a disk are copied at most (model/source.py)."""
    return min(int(disk["allocated"]), int(disk["size"]) - int(disk.get("unused", 0)))


def _disks(report: Document) -> Iterator[Element]:
    if report["disks"]:
        yield _table(
            ("source", "target", "size", "data", "hash of source and copy"),
            (
                *(
                    (
                        f"{disk['source']['dev']}: {disk['source']['path']}",
                        f"{disk['device']}: {disk['volume']['path']} ({disk['volume']['format']})",
                        amount(disk["source"]["size"]),
                        amount(_most(disk["source"])),
                        report["results"].get(f"digest-{disk['device']}", "not compared"),
                    )
                    for disk in report["disks"]
                ),
                *(
                    (
                        f"{file['source']['element']}: {file['source']['path']}",
                        file["volume"]["path"],
                        amount(file["source"]["size"]),
                        amount(file["source"]["size"]),
                        file["source"]["digest"],
                    )
                    for file in report["boot_files"]
                ),
            ),
        )


def _findings(report: Document) -> Iterator[Element]:
    for finding in sorted(report["findings"], key=lambda one: _RANK.get(one["severity"], 0)):
        said = _tag(
            "p",
            _tag("strong", finding["severity"], kind=_severity(finding)),
            " ",
            finding["message"],
        )
        if finding.get("place"):
            said.append(_tag("span", f" At {finding['place']}.", kind="dim"))
        if finding.get("said"):
            said.append(_tag("span", f" It printed last: {finding['said']}", kind="dim"))
        if finding.get("hint"):
            said.append(_tag("span", f" {finding['hint']}", kind="dim"))
        said.append(_tag("code", f" [{finding['id']}]", kind="dim"))
        if finding["id"] in report["waived"]:
            said.append(_tag("strong", " waived by whoever asked for the job"))
        yield said


def _severity(finding: Document) -> str:
    return finding["severity"] if finding["severity"] in _RANK else "blocker"


def _changes(report: Document, *, of_domain: bool) -> Iterator[Element]:
    for change in report["changes"]:
        if (change["place"] == "domain XML") != of_domain:
            continue
        guide = f" guide {change['guide']}" if change["guide"] else ""
        place = "" if of_domain else f" {change['place']}"
        name = _tag("summary", change["summary"], _tag("span", place + guide, kind="dim"))
        if change["command"]:
            shown = _tag("pre", "runs in the guest: " + " ".join(change["command"]))
        elif change["diff"]:
            shown = _diff(change["diff"])
        else:
            yield _tag("p", *list(name))
            continue
        yield _tag("details", name, shown)


def _diff(text: str) -> Element:
    lines = text.splitlines()
    shown = _tag("pre")
    for line in lines[:DIFF_LINES]:
        shown.append(_tag("span", line + "\n", kind=_LINE.get(line[:1], "")))
    if len(lines) > DIFF_LINES:
        shown.append(
            _tag("span", f"… {len(lines) - DIFF_LINES} more lines: see plan.json", kind="dim")
        )
    return shown


def _proof(report: Document, folder: Path) -> Iterator[Element]:
    """Show how the new guest was seen to boot, or not to."""
    if boot := report["results"].get("boot"):
        yield _tag("p", f"Seen: {boot}.", kind="done")
    if said := _console(folder / "console.log"):
        yield _tag("p", f"The last lines of its console (console.log, at most {CONSOLE_LINES}):")
        yield _tag("pre", said)
    for path in (folder / "screenshot.png", folder / "screenshot.ppm"):
        if path.is_file() and path.stat().st_size <= MOST and (png := as_png(path.read_bytes())):
            image = etree.Element("img")
            image.set("alt", "The screen of the new guest")
            image.set("src", "data:image/png;base64," + base64.b64encode(png).decode())
            yield _tag("p", image)
            return


def _console(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - TAIL))
        text = without_escapes(stream.read().decode("utf-8", "replace"))
    return "\n".join(text.rstrip().splitlines()[-CONSOLE_LINES:])


def _go_back(ways: Iterable[Document]) -> Iterator[Element]:
    for way in ways:
        if way["says"]:
            yield _tag("p", way["says"])
        if way["command"]:
            yield _tag("pre", way["command"])


def _moment(microseconds: int) -> str:
    """Return a time in UTC: whoever reads the page may live elsewhere."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
