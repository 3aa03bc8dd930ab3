# SPDX-License-Identifier: GPL-2.0-or-later
"""The subvolumes of a btrfs that look like a root: SUSE's snapshots, @ of Ubuntu, copies of either.

Which one starts, the kernel's rootflags= tell; without them it is the default subvolume, whatever
that is called. fstab tells it, too, where GRUB's menu is made of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.naming import xen_name
from xen2kvmd.guest.root_named import Named, mounted_read_only, names_in, told_subvolume
from xen2kvmd.guest.tree import escaped

ROOT_MARKS = ("/etc/fstab", "/etc/passwd")  # both in every root, neither in /boot or /home
TOP = 5  # the number of the subvolume that holds all others
USUAL = ("", "@", "@rootfs", "root")  # the top; of Ubuntu, Debian, Fedora
MOST = 50  # of the others that are looked at
_LIST = "LC_ALL=C btrfs subvolume list /sysroot | tr -c '\\11\\12\\40-\\176' '?'"
_LISTED = re.compile(r"ID (?P<number>[0-9]{1,20}) gen [0-9]+ top level [0-9]+ path (?P<path>[^?]+)")
PREFIX = "btrfsvol:"  # libguestfs' name for a subvolume, and virt-v2v's: btrfsvol:/dev/xvda2/@


@dataclass(frozen=True)
class Candidate:
    """A subvolume that looks like a root, and how sure it is that it is the one that starts."""

    system: FileSystem
    path: str  # "" for the top
    rank: int  # 0 the only one, or by its boot menu, 1 by its fstab, 2 by default, 3 none of these

    @property
    def may_start(self) -> bool:
        return self.rank < 3


def candidates(
    appliance: Appliance, systems: Sequence[FileSystem], system: FileSystem
) -> tuple[Candidate, ...]:
    """Return the subvolumes with a root, the one that starts first. Nothing is mounted.

    Subvolumes inside others are those of snapper, Timeshift and containers: copies, but for the
    default one.
    """
    found = _look(appliance, system)
    if found is None:
        return ()
    numbers, default, paths = found
    ranked = []
    for path in paths:
        # Without an option, the default is mounted, as at the guest's boot.
        option = "" if numbers[path] == default else _option(path)
        here = replace(system, subvolume=option)
        rank = 0
        if paths[1:]:
            said = names_in(appliance, systems, here)
            rank = _rank(said, here, numbers, own=numbers[path], default=default)
        ranked.append(Candidate(here, path, rank))
    return tuple(sorted(ranked, key=lambda one: one.rank))


def is_read_only(appliance: Appliance) -> bool:
    """Tell whether the subvolume that is mounted as the root refuses to be written to."""
    return appliance.shell("btrfs property get -ts /sysroot ro").strip() == "ro=true"


def name_of(appliance: Appliance, system: FileSystem, path: str) -> str:
    """Return how a subvolume is named where a root is asked for: btrfsvol:/dev/xvda2/@."""
    return escaped(f"{PREFIX}{xen_name(appliance, system.device)}/{path}")


def _look(
    appliance: Appliance, system: FileSystem
) -> tuple[dict[str, int], int, tuple[str, ...]] | None:
    """Return the number of each subvolume, that of the default, and those that look like a root."""
    try:
        with mounted_read_only(appliance, replace(system, subvolume=f"subvolid={TOP}")):
            default = int(appliance.call("btrfs_subvolume_get_default", "/"))
            numbers = {"": TOP} | _numbers(appliance)
            first = [path for path, number in numbers.items() if number == default]
            others = sorted(numbers.keys() - first, key=lambda path: (path not in USUAL, path))
            flat = [path for path in others if "/" not in path]
            deep = [path for path in others if "/" in path]
            asked = _asked(appliance, system, deep)
            paths = tuple(_with_root(appliance, [*first, *flat[:MOST], *asked]))
            return numbers, default, paths or tuple(_with_root(appliance, deep[:MOST]))
    except Failed:  # not to be mounted
        return None


def _numbers(appliance: Appliance) -> dict[str, int]:
    """Return the number of each subvolume by its path.

    libguestfs' binding reads no list with a name that is not UTF-8; that name is left out then.
    """
    try:
        listed = appliance.call("btrfs_subvolume_list", "/")
    except Failed:
        found = map(_LISTED.fullmatch, appliance.shell(_LIST).splitlines())
        return {one["path"]: int(one["number"]) for one in found if one}
    return {one["btrfssubvolume_path"]: one["btrfssubvolume_id"] for one in listed}


def _asked(appliance: Appliance, system: FileSystem, paths: Sequence[str]) -> list[str]:
    """Return those that the caller names, or the Xen host to the guest's kernel."""
    told = told_subvolume(appliance.arguments).removeprefix("subvol=").strip("/")
    return [p for p in paths if p == told or name_of(appliance, system, p) == appliance.root]


def _with_root(appliance: Appliance, paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        top = f"/{path}" if path else ""
        # A name with a comma could not be said to mount(8).
        if "," not in path and all(appliance.is_file(f"{top}{mark}") for mark in ROOT_MARKS):
            yield path


def _option(path: str) -> str:
    return f"subvol={path}" if path else f"subvolid={TOP}"


def _rank(
    said: Sequence[Named], here: FileSystem, numbers: Mapping[str, int], *, own: int, default: int
) -> int:
    for rank, named in enumerate(said):
        if named.device == here.device and named.subvolume:
            return rank if _number(named.subvolume, numbers) == own else 3
    return 2 if own == default else 3


def _number(option: str, numbers: Mapping[str, int]) -> int | None:
    """Return the number of the subvolume that an option of a mount means."""
    key, _, value = option.partition("=")
    if key == "subvolid":
        return int(value) if re.fullmatch("[0-9]{1,20}", value) else None
    return numbers.get(value.strip("/"))
