# SPDX-License-Identifier: GPL-2.0-or-later
"""Which root a Linux itself names: by what its kernel is told, and by its fstab."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from xen2kvmd.errors import Failed, Unsupported
from xen2kvmd.guest import fstab
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import FileSystem
from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.naming import appliance_name

FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "reiserfs", "jfs", "vfat"})
_ROOT = re.compile(r"""(?:^|\s)root=["']?([^\s"']+)""")
_FLAGS = re.compile(r"""(?:^|\s)rootflags=["']?([^\s"']+)""")


@dataclass(frozen=True)
class Named:
    """A root as it is named: the device in the appliance, "" for none that is there, and options.

    subvolume is "subvol=NAME" or "subvolid=NUMBER", "" where that is not said.
    """

    device: str = ""
    subvolume: str = ""


def names_in(
    appliance: Appliance, systems: Sequence[FileSystem], system: FileSystem
) -> tuple[Named, Named]:
    """Return the root that the kernel is told of in the system that is there, and fstab's.

    Its own /boot is mounted for that, where fstab names one; afterwards nothing is.
    """
    try:
        with mounted_read_only(appliance, system):
            names = fstab.Names(appliance, systems)
            boot = next((line for line in fstab.lines(appliance) if line.path == "/boot"), None)
            if boot and (place := names.find(boot.spec)) and place.kind in FILE_SYSTEMS:
                mount_read_only(appliance, replace(place, subvolume=boot.subvolume), "/boot")
            spec, options = fstab.root_line(appliance)
            told = _by_kernel(appliance)
            return (
                _named(names.find(_last(_ROOT, told)), _last(_FLAGS, told), system),
                _named(names.find(spec), options, system),
            )
    except (Failed, Unsupported):
        return Named(), Named()


def told_device(appliance: Appliance) -> str:
    """Return the root's device that the Xen host tells the kernel, as the appliance calls it."""
    return appliance_name(appliance, _last(_ROOT, appliance.arguments))


def told_subvolume(arguments: str) -> str:
    """Return the subvolume that a kernel's arguments name, as an option of mount(8), or ""."""
    return fstab.subvolume(_last(_FLAGS, arguments).split(","))


@contextmanager
def mounted_read_only(appliance: Appliance, system: FileSystem) -> Iterator[None]:
    """Have a file system mounted as the root, and nothing else afterwards."""
    try:
        mount_read_only(appliance, system, "/")
        yield
    finally:
        appliance.call("umount_all")


def mount_read_only(appliance: Appliance, system: FileSystem, path: str) -> None:
    """Mount a file system so that nothing can be written to it."""
    options = f"ro,{system.subvolume}" if system.subvolume else "ro"
    appliance.call("mount_options", options, system.device, path)


def _named(found: FileSystem | None, options: str, system: FileSystem) -> Named:
    subvolume = fstab.subvolume(options.split(","))
    return Named(found.device if found else "", subvolume if system.kind == "btrfs" else "")


def _by_kernel(appliance: Appliance) -> str:
    """Return the arguments of the kernel: the boot menu's, and the Xen host's behind them."""
    menu = read_menu(appliance)
    own = menu.default.arguments if menu and menu.default else ""
    return f"{own} {appliance.arguments}"


def _last(pattern: re.Pattern[str], text: str) -> str:
    """Return the last of several arguments, which is the one that counts."""
    return next(reversed(pattern.findall(text)), "")
