# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of methods: one table reads them and documents them.

An unknown key is refused, for a mistyped one must not migrate a guest in another way than was
meant. So is a value of another D-Bus type.
"""

import difflib
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from xen2kvmd.bus import networks
from xen2kvmd.bus.fault import fault
from xen2kvmd.bus.library import Variant
from xen2kvmd.errors import InvalidName, InvalidOption
from xen2kvmd.jobs.status import JobState
from xen2kvmd.model import Allocation, DiskFormat, MacPolicy, Operation, ShutdownMode

MAX_OPTIONS = 64
MAX_STRING = 4096  # bytes
MAX_DOCUMENT = 1 << 20  # bytes
MAX_NAME = 255  # characters of a domain's name

Values = Mapping[str, Any]
Reader = Callable[[str, Any], object]

# --- readers: from a D-Bus value of the right type to ours ----------------------------------------


def text(key: str, value: str, *, limit: int = MAX_STRING) -> str:
    """Return a string that can be printed on a line. Raises InvalidOption."""
    if len(value.encode("utf-8", "replace")) > limit:
        raise InvalidOption(f"The option '{key}' is longer than {limit} bytes.")
    if not value.isprintable():
        raise InvalidOption(f"The option '{key}' holds characters that cannot be printed.")
    return value


def domain_name(value: str) -> str:
    """Return the name of a guest; an empty one means that the caller left it open."""
    if not value.isprintable() or "/" in value or value in (".", "..") or len(value) > MAX_NAME:
        shown = value[:MAX_NAME].encode("unicode_escape").decode()
        raise InvalidName(
            f"A guest cannot be called '{shown}'.",
            hint=f"A name has up to {MAX_NAME} printable characters and no slash.",
        )
    return value


def _name(_key: str, value: str) -> str:
    return domain_name(value)


def _document(key: str, value: str) -> str:
    if len(value.encode("utf-8", "replace")) > MAX_DOCUMENT:
        raise InvalidOption(f"The option '{key}' is longer than {MAX_DOCUMENT} bytes.")
    return value


def _pattern(key: str, value: str, *, pattern: str, says: str) -> str:
    if not re.fullmatch(pattern, value):
        raise InvalidOption(f"The option '{key}' is '{text(key, value)}'; it has to be {says}.")
    return value


def _one_of(key: str, value: str, *, choices: type[StrEnum]) -> StrEnum:
    if value not in list(choices):
        raise InvalidOption(
            f"The option '{key}' is '{text(key, value)}'.", hint=f"It is {_or(list(choices))}."
        )
    return choices(value)


def _directory(key: str, value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/"):
        raise InvalidOption(f"The option '{key}' has to be a full path without '..'.")
    return text(key, value)


def _between(key: str, value: int, *, least: int, most: int) -> int:
    if not least <= value <= most:
        raise InvalidOption(f"The option '{key}' is {value}; it goes from {least} to {most}.")
    return value


def _each(key: str, value: list[str], *, read: Reader) -> tuple[object, ...]:
    if len(value) > MAX_OPTIONS:
        raise InvalidOption(f"The option '{key}' has more than {MAX_OPTIONS} items.")
    return tuple(read(key, item) for item in value)


def _network_map(key: str, value: list[str]) -> object:
    return networks.parse(str(item) for item in _each(key, value, read=text))


def _disk_pools(key: str, value: list[str]) -> tuple[tuple[str, str], ...]:
    found = {}
    for item in _each(key, value, read=text):
        disk, equals, pool = str(item).partition("=")
        if not (disk and equals and pool) or disk in found:
            raise InvalidOption(
                f"The option '{key}' holds '{item}'.", hint="Each item is DISK=POOL, a disk once."
            )
        found[disk] = pool
    return tuple(found.items())


def _as_is(_key: str, value: object) -> object:
    return value


# --- the table ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """An option: its key on the bus, D-Bus type, the methods that take it, what it says.

    field is that of model.Request it sets, or the key where the method itself reads it.
    """

    key: str
    type: str
    methods: str
    says: str
    read: Reader = _as_is
    field: str = ""


_TOKEN = partial(_pattern, pattern="[A-Za-z0-9_]{1,64}", says="1 to 64 letters, digits and _")
_ID = partial(_pattern, pattern="[a-z0-9-]{1,128}", says="an id of a finding")
_STATES = partial(_each, read=partial(_one_of, choices=JobState))
_PLANNING = "Plan Migrate"
_STARTING = "ListGuests Inspect Plan Migrate"

OPTIONS = (
    Option(
        "document", "s", f"Inspect {_PLANNING}",
        "The guest's domain XML, where the caller has read it: the file is not read again. 1 MiB.",
        _document, "document",
    ),
    Option(
        "name", "s", f"{_PLANNING} ConvertXml",
        "Name of the new domain; as the source's where it is left out.",
        _name, "name",
    ),
    Option(
        "pool", "s", _PLANNING,
        "libvirt storage pool for the disks; 'default' where this and directory are left out.",
        text, "pool",
    ),
    Option(
        "disk-pool", "as", _PLANNING,
        "Pools of single disks. Each item is DISK=POOL, DISK its target name in the source: "
        "xvdb=fast.",
        _disk_pools, "disk_pools",
    ),
    Option(
        "directory", "s", _PLANNING,
        "Folder of the target host for the disks, instead of a pool.",
        _directory, "directory",
    ),
    Option(
        "format", "s", _PLANNING,
        "Format of the new disks: qcow2 (the default) or raw.",
        partial(_one_of, choices=DiskFormat), "format",
    ),
    Option(
        "allocation", "s", _PLANNING,
        "sparse (the default), or preallocated: the disks take their whole size at once.",
        partial(_one_of, choices=Allocation), "allocation",
    ),
    Option(
        "network-map", "as", f"{_PLANNING} ConvertXml",
        "What NICs are connected to. Each item is MATCH=NEW. MATCH: the NAME of a bridge or "
        "network, bridge:NAME, network:NAME, mac:ADDRESS, or any. NEW: bridge:NAME or "
        "network:NAME. The first item that matches wins.",
        _network_map, "nics",
    ),
    Option(
        "mac", "s", f"{_PLANNING} ConvertXml",
        "keep (the default) the MAC addresses, or new: libvirt makes some.",
        partial(_one_of, choices=MacPolicy), "mac",
    ),
    Option(
        "waive", "as", _PLANNING,
        "Ids of findings of severity blocker that shall not stop the migration.",
        partial(_each, read=_ID), "waive",
    ),
    Option(
        "plan-digest", "s", "Migrate",
        "Digest of the plan that was agreed to: the job fails with PlanChanged where the source "
        "is no longer what that plan was made for.",
        text, "plan_digest",
    ),
    Option("start", "b", _PLANNING, "Start the new domain (the default).", _as_is, "start"),
    Option(
        "verify", "b", _PLANNING,
        "Read the copies again, and see that the new domain boots (the default).",
        _as_is, "verify",
    ),
    Option(
        "boot-timeout", "u", _PLANNING,
        "Seconds that the new domain has for its boot, 1 to 86400; 300 by default.",
        partial(_between, least=1, most=86400), "boot_timeout",
    ),
    Option(
        "shutdown-mode", "s", "Migrate",
        "What is done about a source of libvirt that runs. graceful (the default): it is asked to "
        "shut down, and the job fails with VmRunning if it does not in time; destroy: then it is "
        "destroyed; never: the job fails at once. A job that fails starts it again.",
        partial(_one_of, choices=ShutdownMode), "shutdown_mode",
    ),
    Option(
        "shutdown-timeout", "u", "Migrate",
        "Seconds that the source has to shut down, 1 to 86400; 300 by default.",
        partial(_between, least=1, most=86400), "shutdown_timeout",
    ),
    Option(
        "job-token", "s", _STARTING,
        "Makes the call safe to repeat: the job's id is u<uid>_<token>, and the same call by the "
        "same user again returns the same job. 1 to 64 letters, digits and _.",
        _TOKEN,
    ),
    Option(
        "state", "as", "ListJobs", "Only jobs in one of these states.", _STATES
    ),
    Option("owner", "u", "ListJobs", "Only jobs of the user with this id."),
    Option(
        "operation", "s", "ListJobs", "Only jobs that list-guests, inspect, plan or migrate.",
        partial(_one_of, choices=Operation),
    ),
    Option(
        "older-than", "t", "PruneJobs",
        "Only jobs that ended at least this many seconds ago; 0 by default.",
    ),
    Option(
        "states", "as", "PruneJobs",
        "Only jobs that ended in one of these states; all four by default.", _STATES,
    ),
    Option(
        "auth.no_user_interaction", "b",
        f"{_STARTING} ConvertXml CancelJob PruneJobs Cancel Remove GetLog GetPlan GetReport",
        "Never show an authentication dialog, whatever the message's flag says.",
    ),
)  # fmt: skip


def taken_by(method: str) -> dict[str, Option]:
    """Return the options of a method by key."""
    return {option.key: option for option in OPTIONS if method in option.methods.split()}


def read(method: str, options: Mapping[str, Variant]) -> Values:
    """Return the values given, by the field of Request or else the key.

    Raises InvalidOption, InvalidName, or InvalidArgs for a value of the wrong D-Bus type.
    """
    if len(options) > MAX_OPTIONS:
        raise InvalidOption(f"There are {len(options)} options, and {MAX_OPTIONS} are allowed.")
    known = taken_by(method)
    values: dict[str, object] = {}
    for key, variant in options.items():
        if key not in known:
            raise _unknown(method, key, known)
        option = known[key]
        if variant.signature != option.type:
            raise fault(
                "InvalidArgs",
                f"The option '{key}' has the D-Bus type {option.type}, not {variant.signature}.",
            )
        values[option.field or key] = option.read(key, variant.value)
    if values.get("pool") and values.get("directory"):
        raise InvalidOption("The disks go to a pool or to a directory, not to both.")
    return values


def document(method: str) -> str:
    """Return the documentation of a method's options, as the introspection XML has it."""
    lines = []
    for option in taken_by(method).values():
        says = textwrap.wrap(f"{option.key} ({option.type}): {option.says}", 84)
        lines += [says[0], *(f"  {line}" for line in says[1:])]
    return "\n".join(f"          {line}" for line in lines)


def _unknown(method: str, key: str, known: Mapping[str, Option]) -> InvalidOption:
    near = difflib.get_close_matches(key[:64], known, n=1, cutoff=0.0)
    shown = key[:64].encode("unicode_escape").decode()
    hint = f"Did you mean '{near[0]}'?" if near else f"{method} takes no options."
    return InvalidOption(f"{method} has no option '{shown}'.", hint=hint)


def _or(choices: list[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
