# SPDX-License-Identifier: GPL-2.0-or-later
"""What the arguments ask of the service: a source and options, as D-Bus takes them."""

import argparse
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from xen2kvmd.cli.documents import format_of, read_document
from xen2kvmd.cli.keys import Keys
from xen2kvmd.cli.nics import nic_maps
from xen2kvmd.cli.numbers import Moment, microseconds
from xen2kvmd.errors import InvalidOption

Option = tuple[str, str, Any]  # key, D-Bus signature, value

# The options that are given as the argument of that name is, by their D-Bus signatures.
_PLAIN = {
    "s": "name target directory format allocation mac engine root virtio-win vmdp shutdown-mode"
    " plan-digest undefine-source",
    "as": "path-map waive hooks packages",
    "u": "boot-timeout shutdown-timeout cluster-size",
    "t": "rate-limit",
    "b": "autostart overwrite in-place direct-kernel-boot compress guest-repositories guest-agent"
    " hold resume remove-target remove-backup source-gone force",
}
PLAIN = tuple((key, signature) for signature, keys in _PLAIN.items() for key in keys.split())
LIBVIRT = "xen:///system"  # this host's, as virt-v2v's -i libvirt has it without a URI
EVEN_EMPTY = ("directory", "autostart")  # "$UNSET" is for the service to refuse; --no-autostart


def source_of(arguments: argparse.Namespace) -> tuple[str, str, list[Option]]:
    """Return the source's URI, the guest's name where the URI needs one, and the source's options.

    A file is read here, with the rights of whoever calls, so that the daemon need not: raises
    InvalidSource if it cannot be.
    """
    if arguments.connect and arguments.input not in (None, "libvirt"):
        raise InvalidOption(
            f"-i {arguments.input} is for a file, and -c takes the guest from a libvirt.",
            hint="Leave one of them out.",
        )
    if arguments.connect or arguments.input == "libvirt":
        return arguments.connect or LIBVIRT, arguments.guest, []
    document = read_document(arguments.guest)
    form = arguments.input or format_of(document)
    return f"{form}:{Path(arguments.guest).absolute()}", "", [("document", "s", document)]


def backup_of(arguments: argparse.Namespace) -> str:
    """Return the backup to be restored: its name in its pool, or its full path."""
    given = str(arguments.backup)
    return given if arguments.backup_pool is not None else os.path.abspath(given)


def options_of(arguments: argparse.Namespace) -> list[Option]:
    """Return the options for the service, as the arguments give them."""
    given = vars(arguments)
    found: list[Option] = []
    for key, signature in PLAIN:
        value = given.get(key.replace("-", "_"))
        if value or (key in EVEN_EMPTY and value is not None):
            found.append((key, signature, value))
    found += [(key, "b", False) for key in ("start", "verify") if given.get(f"no_{key}")]
    if given.get("backup_pool") is not None:
        found.append(("pool", "s", given["backup_pool"]))
    if given.get("backup_disks") is not None:
        found.append(_backup(given["backup_disks"]))
    pools = given.get("pool", ())
    found += [(key, "s", pool) for pool in pools if (key := _kind_of_storage(pool))]
    if own := [pool for pool in pools if not _kind_of_storage(pool)]:
        found.append(("disk-pool", "as", own))
    if keys := given.get("keys"):
        found += _keys(keys)
    if "nic" in given and (nics := nic_maps(arguments)):
        found.append(("network-map", "as", nics))
    found += _window(given.get("not_before"), given.get("finish_by"))
    return found


def _keys(keys: Keys) -> Iterator[Option]:
    """Yield what opens encrypted disks; a descriptor is told by its place in the message."""
    if keys.credentials:
        yield "keys", "as", list(keys.credentials)
    if keys.handed:
        places = [[selector, place] for place, (selector, _) in enumerate(keys.handed)]
        yield "key-descriptors", "a(sh)", places


def _window(not_before: Moment | None, finish_by: Moment | None) -> Iterator[Option]:
    """Yield when a job may begin, and when it has to be done: 22:00 and 04:00 make a night."""
    begin = now = datetime.now().astimezone()
    if not_before:
        begin = not_before.after(now)
        yield "not-before", "t", microseconds(begin)
    if finish_by:
        end = finish_by.after(begin)
        if not_before and end <= begin:
            raise InvalidOption(
                f"--finish-by is {end:%Y-%m-%d %H:%M}, which is not after --not-before, "
                f"{begin:%Y-%m-%d %H:%M}."
            )
        yield "finish-by", "t", microseconds(end)


def _backup(given: str) -> Option:
    """Return the option for where a backup goes, by the same rule as for disks."""
    kind = _kind_of_storage(given)
    if kind == "nfs-export":
        raise InvalidOption(
            f"A backup goes to a folder or a pool, and {given} is an NFS export.",
            hint="Mount it, or make a pool of it, and name that.",
        )
    return ("backup-disks" if kind == "directory" else "backup-pool"), "s", given


def _kind_of_storage(given: str) -> str:
    """Return the option that -os means: virt-v2v has it for several; "" for the pool of a disk."""
    if given.startswith("/"):
        return "directory"
    if ":/" in given:
        return "nfs-export"
    return "" if "=" in given else "pool"
