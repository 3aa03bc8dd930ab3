# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a guest that is no Linux: enough for virt-v2v to convert it, as we do not."""

from xen2kvmd.errors import Failed
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.filesystems import file_systems
from xen2kvmd.guest.partitions import BIOS_BOOT, EFI_SYSTEM, read_table
from xen2kvmd.model import Facts, Family, Firmware

MARK = "/Windows/System32"


def windows(appliance: Appliance) -> Facts | None:
    """Return what is known of a Windows on the disks, or None where there is none."""
    if not any(
        _holds_windows(appliance, s.device) for s in file_systems(appliance) if _ntfs(s.kind)
    ):
        return None
    return Facts(
        family=Family.WINDOWS,
        distro="windows",
        product="Windows",
        firmware=Firmware.UEFI if _starts_by_uefi(appliance) else Firmware.BIOS,
        boot_disk=next(iter(appliance.devices.values())),
        init="",
    )


def unknown(appliance: Appliance) -> Facts:
    """Return what is known of a guest in which neither Linux nor Windows was found."""
    return Facts(
        family=Family.UNKNOWN,
        firmware=Firmware.UEFI if _starts_by_uefi(appliance) else Firmware.BIOS,
        boot_disk=next(iter(appliance.devices.values())),
        init="",
    )


def _ntfs(kind: str) -> bool:
    return kind in ("ntfs", "ntfs3")


def _holds_windows(appliance: Appliance, device: str) -> bool:
    """Look for Windows' folder, whose name may be written in any case."""
    try:
        appliance.call("mount_ro", device, "/")
    except Failed:
        return False  # not a healthy NTFS: virt-v2v would refuse it too
    try:
        return bool(appliance.call("is_dir", appliance.call("case_sensitive_path", MARK)))
    except Failed:
        return False  # no such path
    finally:
        appliance.call("umount_all")


def _starts_by_uefi(appliance: Appliance) -> bool:
    device = next(iter(appliance.devices))
    table = read_table(
        lambda sector, count: appliance.read_bytes(device, offset=sector * 512, size=count * 512)
    )
    kinds = {part.kind for part in table.partitions}
    return EFI_SYSTEM in kinds and BIOS_BOOT not in kinds
