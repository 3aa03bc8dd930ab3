# SPDX-License-Identifier: GPL-2.0-or-later
"""How to go back after a migration, in words and in commands to be pasted into a shell.

What was done since, by finalize or rollback, changes the way; so does a migration in place.
"""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from xen2kvmd.model import Operation, SourceForm

Way = dict[str, str]  # says, and a command or ""
MERGING = "merging"  # a note in a migration's journal: from then on there is no way back


def going_back(report: Mapping[str, Any]) -> list[Way]:
    """Return how to go back, for a report: what to do, step by step.

    The new guest is stopped for good before the source starts: never do both run at once, for they
    have the same addresses, and the same disks where storage is shared.
    """
    if report["job"]["operation"] != Operation.MIGRATE:
        return []
    if report["state"] == "succeeded":
        return list(_after_success(report))
    left = [finding for finding in report["findings"] if finding["id"] == "left-behind"]
    if left or report["state"] == "interrupted":
        return [
            _way("Not all could be undone: the findings and 'made' in the JSON say what is left."),
            *_after_shutdown(report),
        ]
    return [
        _way("Nothing is to be done: what the job had made was removed; the source is as it was.")
    ]


def _after_shutdown(report: Mapping[str, Any]) -> Iterator[Way]:
    """Yield how to start a source that the job has shut down, and may not have started again."""
    undone = any(step["name"] == "shutdown" and step.get("undone") for step in report["steps"])
    if undone or "shutdown-asked" not in report["made"]:
        return
    virsh = ("virsh", "-c", report["job"]["source"])
    yield _way("The source was shut down. See that the new guest does not run, then start it.")
    yield _way("", *virsh, "start", "--", report["guest"])
    if backup := report["made"].get("backup"):
        yield _way("Or, if it is not defined there any more, from its configuration:")
        yield _way("", *virsh, "create", "--", backup)


def _after_success(report: Mapping[str, Any]) -> Iterator[Way]:
    settled, in_place = report["settled"], report["in_place"]
    if in_place and MERGING in report["made"]:
        yield _way(
            "There is no way back: the new guest's disks were merged into the source's images."
        )
        return
    if settled.startswith("rollback"):
        yield _way(f"The migration was gone back on ({settled}): the source is in use again.")
        yield from _removal(report, "If the new guest is still there, and not needed any more")
        return
    if not settled:
        yield _way("All of it at once (--remove-target removes the new guest, too):")
        yield _way("", "xen2kvm", "rollback", report["job"]["id"])
        yield _way(f"Or by hand. {_where(report)}: stop the new guest, and keep it from starting.")
    else:
        yield _way(
            f"The migration was accepted ({settled}): the way back is by hand. {_where(report)}: "
            "stop the new guest, and keep it from starting."
        )
    yield _way("", *_virsh(report), "destroy", "--", _name(report))
    yield _way("", *_virsh(report), "autostart", "--disable", "--", _name(report))
    if in_place:
        # Once the source has written to its images, what builds on them would corrupt both.
        yield from _removal(report, "Before the source starts, for its disks build on the source's")
    yield from _start_of_source(report)
    if not in_place:
        yield from _removal(report, "Only when nothing of the new guest is needed any more")


def _start_of_source(report: Mapping[str, Any]) -> Iterator[Way]:
    source = report["job"]["source"]
    kind, _, path = source.partition(":")
    if kind in list(SourceForm):
        yield _way("On the Xen host: start the source again; its disks were only read.")
        if kind == SourceForm.LIBVIRTXML:
            yield _way("", "virsh", "start", "--", report["guest"])
        else:
            yield _way("", "xl", "create", path)
    else:
        yield _way("Start the source again; its disks were only read.")
        yield _way("", "virsh", "-c", source, "start", "--", report["guest"])
    if backup := report["results"].get("backup"):
        yield _way(f"Its configuration, if it is gone there, is kept in {backup}.")


def _removal(report: Mapping[str, Any], when: str) -> Iterator[Way]:
    yield _way(f"{when}: remove it, with its disks.")
    yield _way("", *_virsh(report), "undefine", "--nvram", "--", _name(report))
    for made in (*report["disks"], *report["boot_files"]):
        volume = made["volume"]
        if volume["pool"]:
            argv = (*_virsh(report), "vol-delete", "--pool", volume["pool"], "--", volume["name"])
            yield _way("", *argv)
        else:
            yield _way("", "rm", "--", volume["path"])


def _name(report: Mapping[str, Any]) -> str:
    return str(report["results"].get("name", report["guest"]))


def _virsh(report: Mapping[str, Any]) -> tuple[str, ...]:
    target = _remote(report)
    return ("virsh", "-c", target) if target else ("virsh",)


def _where(report: Mapping[str, Any]) -> str:
    target = _remote(report)
    return f"On the host of {target}" if target else "On this host"


def _remote(report: Mapping[str, Any]) -> str:
    """Return the URI of the libvirt that has the new guest, "" for this host's."""
    target = str(report["job"]["target"])
    return target if target.startswith("qemu+") else ""


def _way(says: str, *command: str) -> Way:
    return {"says": says, "command": shlex.join(command)}
