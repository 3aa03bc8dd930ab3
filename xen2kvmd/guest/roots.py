# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the guest's file systems is its root, where more than one looks like it.

A disk for backups may hold an rsync of the root, a volume the system that was there before an
upgrade. The Xen host may tell the kernel which it is. Else a copy's fstab names the original; what
has an fstab of its own is told by the boot menu.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xen2kvmd.errors import Failed, InvalidOption
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.naming import appliance_name, xen_name
from xen2kvmd.guest.root_named import FILE_SYSTEMS, mounted_read_only, names_in, told_device
from xen2kvmd.guest.subvolumes import ROOT_MARKS, candidates, name_of

FIRST = "first"  # virt-v2v's word


@dataclass(frozen=True)
class Root:
    """A file system, or a subvolume of one, that looks like a Linux root.

    name is how it is asked for: a device as under Xen, or a subvolume. What is a copy names another
    subvolume in its own boot menu or fstab.
    """

    system: FileSystem
    name: str
    subvolume: str = ""
    is_copy: bool = False


def find_roots(appliance: Appliance, systems: Sequence[FileSystem]) -> tuple[Root, ...]:
    """Return what holds a Linux root, the guest's own first; none is mounted.

    Raises InvalidOption where the one that was asked for is not among them.
    """
    found = tuple(_roots(appliance, systems))
    if appliance.root not in ("", FIRST) and found:
        wanted = _asked(appliance, found)
        if wanted is None:
            names = ", ".join(root.name for root in found)
            raise InvalidOption(
                f"There is no Linux root on {appliance.root}.", hint=f"The guest has: {names}."
            )
        return (wanted, *(root for root in found if root is not wanted))
    if len({root.system.device for root in found}) < 2 or appliance.root == FIRST:
        return found
    told = told_device(appliance)
    ranks = {
        root.name: (root.system.device != told, *_rank(appliance, systems, root)) for root in found
    }
    return tuple(sorted(found, key=lambda root: ranks[root.name]))


def names_besides(roots: Sequence[Root]) -> tuple[str, ...]:
    """Return the names of what else may be the guest's root, beside the first.

    Copies are not told, unless the first looks like one, too: then it is not known which starts.
    """
    first, *others = roots
    return tuple(other.name for other in others if first.is_copy or not other.is_copy)


def _asked(appliance: Appliance, found: Sequence[Root]) -> Root | None:
    """Return the root that was asked for by its name, or the likeliest of its device."""
    device = appliance_name(appliance, appliance.root)
    names = ((name_of(appliance, root.system, root.subvolume), root) for root in found)
    named = [root for name, root in names if name == appliance.root]
    named += [root for root in found if root.system.device == device]
    return next(iter(named), None)


def _roots(appliance: Appliance, systems: Sequence[FileSystem]) -> Iterator[Root]:
    """Yield what looks like a root, on one file system the likeliest first."""
    for system in _each_once(systems):
        device = xen_name(appliance, system.device)
        if system.kind == "btrfs":
            several = candidates(appliance, systems, system)
            for one in several:
                name = name_of(appliance, one.system, one.path) if several[1:] else device
                yield Root(one.system, name, one.path, is_copy=not one.may_start)
        elif _is_root(appliance, system):
            yield Root(system, device)


def _each_once(systems: Sequence[FileSystem]) -> Iterator[FileSystem]:
    """Leave out the other devices of a btrfs that has several: each mounts the whole of it."""
    seen = set()
    for system in systems:
        if system.kind != "btrfs" or system.uuid not in seen:
            yield system
        seen.add(system.uuid)


def _is_root(appliance: Appliance, system: FileSystem) -> bool:
    if system.kind not in FILE_SYSTEMS:
        return False
    try:
        with mounted_read_only(appliance, system):
            return all(appliance.is_file(path) for path in ROOT_MARKS)
    except Failed:
        return False


def _rank(appliance: Appliance, systems: Sequence[FileSystem], root: Root) -> tuple[bool, bool]:
    """Tell whether its own fstab, and what its kernel is told, mean another root."""
    if root.is_copy:
        return True, True
    by_kernel, by_fstab = names_in(appliance, systems, root.system)
    return by_fstab.device != root.system.device, by_kernel.device != root.system.device
