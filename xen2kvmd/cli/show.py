# SPDX-License-Identifier: GPL-2.0-or-later
"""Showing plans, jobs and reports to people."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.markup import escape

from xen2kvmd.model import Operation
from xen2kvmd.words import amount, duration, moment

Document = Mapping[str, Any]

NO_REPORT: Document = MappingProxyType({})

_COLOUR = {"info": "blue", "warning": "yellow", "blocker": "bold red"}
_ORDER = ("blocker", "warning", "info")
_KIND = {"linux": "PV", "xenpvh": "PVH", "hvm": "HVM"}
_STATE = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "interrupted": "red"}


def _console(*, to_stderr: bool = False) -> Console:
    return Console(stderr=to_stderr, highlight=False, soft_wrap=True)


def _title(text: str) -> None:
    _console().print(f"\n[bold]{text}[/]")


def plan(document: Document, *, diffs: bool) -> None:
    """Show a plan: the guest, its disks, each change with its reason, findings, and estimates."""
    _title(f"{document['source_name']} → {document['name']}")
    guest(document["facts"])
    _planned_disks(document["disks"])
    _boot_files(document.get("boot_files", ()))
    changes = document["changes"]
    _title("Changes of the domain XML")
    _changes([change for change in changes if change["place"] == "domain XML"], diffs=diffs)
    _title("Changes inside the guest")
    _changes([change for change in changes if change["place"] != "domain XML"], diffs=diffs)
    _title("Findings")
    findings(document["findings"])
    _title("Estimate")
    console = _console()
    console.print(f"  to copy    {amount(document['bytes_total'])}")
    console.print(f"  time       about {duration(document['seconds'])} (minutes:seconds)")
    console.print(f"  downtime   about {duration(document['downtime'])}")


def digest(document: Document) -> None:
    """Say how to migrate a plan that was shown, and no other."""
    _console().print(f"\nMigrate just this plan: --digest {document['digest']}", style="dim")


def guest(facts: Document) -> None:
    """Show what a guest is."""
    kernel = facts["kernels"][0]["version"] if facts["kernels"] else "none found"
    code = "" if facts["boot_code"] or facts["firmware"] != "bios" else ", no boot code"
    rows = (
        ("system", facts["product"] or facts["distro"]),
        ("host name", facts["hostname"] or "-"),
        ("kernel", kernel),
        ("boot loader", f"{facts['bootloader'] or 'none found'}, {facts['firmware']}{code}"),
        ("root", facts["root"] or "-"),
        ("initrd by", facts["initrd_tool"] or "-"),
    )
    for name, value in rows:
        _console().print(f"  {name:<12} {escape(str(value))}")


def guests(found: Iterable[Document]) -> None:
    """Show a list of guests, each with its disks."""
    console, rows = _console(), list(found)
    if not rows:
        console.print("There are no guests.")
    for one in rows:
        kind = _KIND.get(one["kind"], one["kind"])
        console.print(f"[bold]{escape(one['name'])}[/]  {one['state']}  [dim]{one['uuid']}[/]")
        if one["trouble"]:
            console.print(f"  [red]{escape(one['trouble'])}[/]")
            continue
        system = f"{escape(one['os'])}, " if one["os"] else ""
        console.print(f"  {system}{kind}, {one['vcpus']} CPUs, {amount(one['memory'])} of memory")
        for disk in one["disks"]:
            size = amount(disk["size"]) if disk["size"] else "size not known"
            console.print(f"  {disk['dev']}: {size}  {escape(disk['path'])} ({disk['format']})")


def disks(found: Iterable[Document]) -> None:
    """Show the disks of a source. Paths are long: a disk takes lines and not a row."""
    for disk in found:
        _disk(disk)


def _planned_disks(found: Iterable[Document]) -> None:
    for disk in found:
        volume = disk["volume"]
        _disk(disk["source"])
        becomes = f"{disk['device']}: {escape(_place(volume))} ({volume['format']})"
        _console().print(f"    becomes    {becomes}")


def _boot_files(found: Iterable[Document]) -> None:
    for file in found:
        source = file["source"]
        size = amount(source["size"])
        _console().print(f"  {source['element']:<12} {size}  {escape(source['path'])}")
        _console().print(f"    becomes    {escape(_place(file['volume']))}")


def _place(volume: Document) -> str:
    return f"{volume['pool']}/{volume['name']}" if volume["pool"] else str(volume["path"])


def _disk(disk: Document) -> None:
    used, most = disk.get("used", 0), min(disk["allocated"], disk["size"] - disk.get("unused", 0))
    data = f"{amount(used)} to {amount(most)}" if 0 < used < most else amount(most)
    size = f"{amount(disk['size'])}, {data} of them in use"
    console = _console()
    console.print(f"  disk         {disk['dev']}: {size}")
    for part in disk.get("parts", ()):
        console.print(
            f"    partition {part['number']}  {amount(part['size'])}: volume {part['dev']}, "
            f"{escape(part['path'])}"
        )
    if not disk.get("parts"):
        place = disk.get("host", "").partition("?")[0] + disk["path"]
        console.print(f"    source     {escape(place)} ({disk['format']})")


def _changes(changes: Iterable[Document], *, diffs: bool) -> None:
    console = _console()
    shown = ""
    for change in changes:
        if change["rule"] != shown:
            shown = change["rule"]
            guide = f"  [dim]guide {change['guide']}[/]" if change["guide"] else ""
            console.print(f"  • {escape(change['summary'])}{guide}")
        if change["command"]:
            console.print(f"      runs in the guest: {escape(' '.join(change['command']))}")
        elif change["place"] != "domain XML":
            console.print(f"      {escape(change['place'])}", style="dim")
        if diffs and change["diff"]:
            lines = change["diff"].splitlines()
            _diff_lines(lines[2:] if lines[0].startswith("--- ") else lines)  # a list has no head


def _diff_lines(lines: Iterable[str]) -> None:
    console = _console()
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
        console.print(f"        {line}", style=style, markup=False)


def findings(found: Iterable[Document], *, to_stderr: bool = False) -> None:
    """Show findings, the gravest first, with what to do."""
    console = _console(to_stderr=to_stderr)
    ranked = sorted(found, key=lambda finding: _ORDER.index(finding["severity"]))
    if not ranked and not to_stderr:
        console.print("  none")
    for finding in ranked:
        colour = _COLOUR[finding["severity"]]
        console.print(
            f"  [{colour}]{finding['severity']:<8}[/] {escape(finding['message'])} "
            f"[dim]\\[{finding['id']}][/]"
        )
        if finding.get("place"):
            console.print(f"           at {escape(finding['place'])}", style="dim")
        if finding.get("said"):
            console.print(f"           it printed last: {escape(finding['said'])}", style="dim")
        if finding.get("hint"):
            console.print(f"           {escape(finding['hint'])}", style="dim")


def jobs(found: Iterable[Document]) -> None:
    """Show a list of jobs; an id begins with the time, and is never cut: it is to be copied."""
    console, rows = _console(), list(found)
    if not rows:
        console.print("There are no jobs.")
        return
    names = {"Id": "job", "Operation": "operation", "State": "state", "Phase": "step"}
    wide = {key: max(len(head), *(len(one[key]) for one in rows)) for key, head in names.items()}
    head = {key: f"{name:<{wide[key]}}" for key, name in names.items()}
    console.print(
        f"{head['Id']}  {head['Operation']}  {head['State']}  done  {head['Phase']}  guest",
        style="dim",
    )
    for one in rows:
        cell = {key: f"{one[key]:<{width}}" for key, width in wide.items()}
        colour = _STATE.get(one["State"], "default")
        console.print(
            f"{cell['Id']}  {cell['Operation']}  [{colour}]{cell['State']}[/]  "
            f"{one['Progress']:>4.0%}  {cell['Phase']}  {escape(one['Vm'])}"
        )


def job(found: Document, report: Document = NO_REPORT) -> None:
    """Show one job; the report, if it can be had, has what everybody may not read."""
    rows = (
        ("job", found["Id"]),
        ("operation", found["Operation"]),
        ("guest", found["Vm"]),
        ("source", found["Source"]),
        ("target", found["Target"]),
        ("state", f"{found['State']}, held" if found["Held"] else found["State"]),
        ("not before", moment(found["NotBefore"])),
        ("priority", found["Priority"]),
        ("step", found["Phase"]),
        ("at", found["Activity"]),
        ("done", f"{found['Progress']:.0%}" if found["ProgressValid"] else "not known"),
        ("begun", moment(found["StartedAt"])),
        ("ended", moment(found["FinishedAt"])),
        ("error", found["ErrorName"]),
    )
    console = _console()
    for name, value in rows:
        if value:
            console.print(f"  {name:<12} {escape(str(value))}")
    if found["ErrorMessage"]:
        console.print(f"\n{escape(found['ErrorMessage'])}")
    said(report)
    _results(found["Result"])
    findings(report.get("findings", found["Findings"]))


def end(found: Document, report: Document = NO_REPORT, *, as_json: bool = False) -> None:
    """Say how a job ended, and what to look at next; the report has what everybody may not read."""
    if as_json:
        print(json.dumps(found, indent=1))
        return
    console = _console()
    colour = _STATE.get(found["State"], "default")
    seconds = (found["FinishedAt"] - found["StartedAt"]) / 1e6 if found["StartedAt"] else 0
    console.print(f"[{colour}]{found['State']}[/] after {duration(seconds)}  job {found['Id']}")
    if found["ErrorMessage"]:
        console.print(escape(found["ErrorMessage"]))
        said(report)
        left = any(finding["id"] == "left-behind" for finding in found["Findings"])
        if found["Operation"] == Operation.MIGRATE and found["State"] != "interrupted" and not left:
            console.print("All that the job had made was removed; the source is as it was.")
    findings(report.get("findings", found["Findings"]), to_stderr=True)
    _results(found["Result"])
    console.print(f"More: xen2kvm report {found['Id']}", style="dim")


def said(document: Document) -> None:
    """Show what the guest or a program printed last before the job failed; of a report."""
    if document.get("error_said"):
        _console().print(f"The last that was printed: {escape(document['error_said'])}")


def _results(found: Mapping[str, str]) -> None:
    console = _console()
    for key, value in found.items():
        console.print(f"  {key:<12} {escape(value)}")


def report(document: Document) -> None:
    """Show the report of a job that is over."""
    console = _console()
    about = document["job"]
    colour = _STATE.get(document["state"], "default")
    _title(f"{about['operation']} of {escape(document['guest'])}: [{colour}]{document['state']}[/]")
    console.print(f"  source {escape(about['source'])}\n  begun  {moment(about['created_at'])}")
    if document["error_message"]:
        console.print(f"\n{escape(document['error_message'])}", style="red")
    said(document)
    _title("Steps")
    for step in document["steps"]:
        undone = ", undone" if step.get("undone") else ""
        console.print(f"  {step['name']:<10} {step['outcome']}{undone}  {step['seconds']:.1f} s")
    _title("Results")
    _results(document["results"])
    _title("Findings")
    findings(document["findings"])
    if document["go_back"]:
        _title("How to go back")
    for way in document["go_back"]:
        if way["says"]:
            console.print(f"  {way['says']}", markup=False)
        if way["command"]:
            console.print(f"    {way['command']}", markup=False, style="cyan")


def log_line(time: int, priority: int, text: str) -> None:
    """Show a line of a job's log; priority is syslog's."""
    style = "red" if priority <= 3 else "yellow" if priority == 4 else "default"
    _console().print(f"{moment(time)}  {text}", style=style, markup=False)
