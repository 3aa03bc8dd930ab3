# SPDX-License-Identifier: GPL-2.0-or-later
"""How to go back after a migration, in words and in commands to be pasted into a shell."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

Way = dict[str, str]  # says, and a command or ""


def going_back(report: Mapping[str, Any]) -> list[Way]:
    """Return the way back for a report, in the order in which it is to be gone.

    The new guest is stopped for good before the source starts: never do both run at once, for they
    have the same addresses, and the same disks where storage is shared.
    """
    if report["job"]["operation"] != "migrate":
        return []
    if report["state"] == "succeeded":
        return list(_after_success(report))
    left = [finding for finding in report["findings"] if finding["id"] == "left-behind"]
    if left or report["state"] == "interrupted":
        return [
            _way("Not all could be undone: the findings and 'made' in the JSON say what is left.")
        ]
    return [
        _way("Nothing is to be done: what the job had made was removed; the source is as it was.")
    ]


def _after_success(report: Mapping[str, Any]) -> Iterator[Way]:
    name = report["results"].get("name", report["guest"])
    source, target = report["job"]["source"], _remote(report)
    virsh = ("virsh", "-c", target) if target else ("virsh",)
    where = f"On the host of {target}" if target else "On this host"
    yield _way("All of it at once (--remove-target removes the new guest, too):")
    yield _way("", "xen2kvm", "rollback", report["job"]["id"])
    yield _way(f"Or by hand. {where}: stop the new guest, and keep it from starting again.")
    yield _way("", *virsh, "destroy", "--", name)
    yield _way("", *virsh, "autostart", "--disable", "--", name)
    kind, _, path = source.partition(":")
    if kind in ("libvirtxml", "xl", "xl-json"):
        yield _way("On the Xen host: start the source again; its disks were only read.")
        if kind == "libvirtxml":
            yield _way("", "virsh", "start", "--", report["guest"])
        else:
            yield _way("", "xl", "create", path)
    else:
        yield _way("Start the source again; its disks were only read.")
        yield _way("", "virsh", "-c", source, "start", "--", report["guest"])
    if backup := report["results"].get("backup"):
        yield _way(f"Its configuration, if it is gone there, is kept in {backup}.")
    yield _way("Only when nothing of the new guest is needed any more: remove it, with its disks.")
    yield _way("", *virsh, "undefine", "--nvram", "--", name)
    for made in (*report["disks"], *report["boot_files"]):
        volume = made["volume"]
        if volume["pool"]:
            yield _way("", *virsh, "vol-delete", "--pool", volume["pool"], "--", volume["name"])
        else:
            yield _way("", "rm", "--", volume["path"])


def _remote(report: Mapping[str, Any]) -> str:
    """Return the URI of the libvirt that has the new guest, "" for this host's."""
    target = str(report["job"]["target"])
    return target if target.startswith("qemu+") else ""


def _way(says: str, *command: str) -> Way:
    return {"says": says, "command": shlex.join(command)}
