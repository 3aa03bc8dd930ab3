# SPDX-License-Identifier: GPL-2.0-or-later
"""What is on the guest's disks, as blkid(8) sees it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance


@dataclass(frozen=True)
class FileSystem:
    """A file system or another content of a device, as blkid sees it."""

    device: str
    kind: str
    uuid: str = ""
    label: str = ""
    subvolume: str = ""  # of btrfs: "subvol=NAME", or "default" where that is not the top


def file_systems(appliance: Appliance) -> Iterator[FileSystem]:
    """Yield what is on partitions, on disks that have none, on volumes, arrays, opened disks."""
    partitions = appliance.partitions()
    whole = [disk for disk in appliance.devices if not _divided(disk, partitions)]
    kinds = ("lvs", "list_md_devices", "list_dm_devices")
    volumes = [device for kind in kinds for device in appliance.call(kind)]
    for device in (*partitions, *whole, *volumes):
        try:
            tags = appliance.call("blkid", device)
        except Failed:
            continue  # nothing that blkid knows
        label = re.sub(r"\\(.)", r"\1", tags.get("LABEL", ""))  # blkid escapes for a shell
        yield FileSystem(device, tags.get("TYPE", ""), uuid=tags.get("UUID", ""), label=label)


def trim(appliance: Appliance) -> None:
    """Give back what the guest's file systems do not use, so that it is not copied."""
    for path in appliance.call("mountpoints").values():
        with suppress(Failed):  # a file system that cannot be trimmed is copied whole
            appliance.call("fstrim", path)


def _divided(disk: str, partitions: tuple[str, ...]) -> bool:
    return any(re.fullmatch(rf"{disk}\d+", name) for name in partitions)
