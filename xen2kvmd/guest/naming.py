# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of the guest's devices: as the guest has them under Xen, as the appliance has them."""

import re

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.devices import remap_text
from xen2kvmd.model import Case


def disk_of(appliance: Appliance, device: str) -> tuple[str, str]:
    """Split /dev/vda1 into its disk and number; a logical volume counts to the first disk."""
    for disk in sorted(appliance.devices, key=len, reverse=True):
        if device.startswith(disk):
            return disk, device.removeprefix(disk)
    return next(iter(appliance.devices)), ""


def xen_name(appliance: Appliance, device: str) -> str:
    """Return how the guest calls a device of the appliance under Xen."""
    disk, number = disk_of(appliance, device)
    for volume in appliance.joined:
        if (volume.disk, str(volume.number)) == (appliance.devices[disk], number):
            return f"/dev/{volume.dev}"
    return f"/dev/{appliance.devices[disk]}{number}" if device.startswith(disk) else device


def appliance_name(appliance: Appliance, name: str) -> str:
    """Return how the appliance calls what the guest calls so under Xen; others stay."""
    # Which kind the guest is, the appliance does not know: an emulated one has most names.
    case = Case(devices=names(appliance), joined=appliance.joined, kind="hvm")
    return re.sub(r"^/dev/mapper/((?:[^-]|--)+)-((?:[^-]|--)+)$", _volume, remap_text(name, case))


def names(appliance: Appliance) -> tuple[tuple[str, str], ...]:
    """Pair the names of the disks under Xen with those in the appliance."""
    return tuple((dev, device.removeprefix("/dev/")) for device, dev in appliance.devices.items())


def _volume(found: re.Match[str]) -> str:
    """Turn /dev/mapper/GROUP-VOLUME, in which a dash is doubled, into /dev/GROUP/VOLUME."""
    return f"/dev/{found[1].replace('--', '-')}/{found[2].replace('--', '-')}"
