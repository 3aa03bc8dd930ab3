# SPDX-License-Identifier: GPL-2.0-or-later
r"""Rules for what UEFI firmware starts.

Firmware remembers its boot entries in variables of its own, and those stay with Xen: the new guest
begins with none. Then it starts \EFI\BOOT\BOOTX64.EFI of the EFI system partition (UEFI 2.10,
3.5.1.1), which some installers do not make.
"""

import re
from collections.abc import Iterator, Sequence

from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.guest.uki import unified_images
from xen2kvmd.model import Case, Family, Finding, Firmware, Severity
from xen2kvmd.rule import rule

# Where the EFI system partition is mounted; FAT keeps the case of names, and means none by it.
LOADERS = (
    "/boot/efi/[Ee][Ff][Ii]/*/*.[Ee][Ff][Ii]",
    "/efi/[Ee][Ff][Ii]/*/*.[Ee][Ff][Ii]",
    "/boot/[Ee][Ff][Ii]/*/*.[Ee][Ff][Ii]",
)
FALLBACK = "boot/bootx64.efi"
# The first that is there becomes the fallback. shim loads its second stage from its own folder.
CHOICE = ("shimx64.efi", "shim.efi", "grubx64.efi", "grub.efi", "systemd-bootx64.efi")
BESIDE_SHIM = ("grubx64.efi", "grub.efi", "mmx64.efi")
# Of package systemd-boot-efi, or systemd itself; bootctl(1) installs it from there. It finds what
# is in EFI/Linux by itself (systemd-boot(7)).
_SYSTEMD_BOOT = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
_HINT = (
    r"Put a loader at \EFI\BOOT\BOOTX64.EFI in the guest: grub-install --removable, or bootctl "
    "install."
)
_MOST = 3  # loaders that are told by name


@rule(guide="")
def uefi_fallback_loader(guest: Tree, case: Case) -> Iterator[Finding]:
    """Put the boot loader where UEFI firmware without boot entries looks for one."""
    if case.facts.firmware is not Firmware.UEFI or case.facts.arch != "x86_64":
        return
    found = [path for pattern in LOADERS for path in guest.glob(pattern)]
    if any(path.lower().endswith(f"/{FALLBACK}") for path in found):
        return
    loader = next((path for name in CHOICE for path in found if _name(path) == name), "")
    if not loader:
        yield from _without_loader(guest, found)
        return
    folder = loader.rpartition("/")[0]
    beside = f"{folder.rpartition('/')[0]}/BOOT"
    if _name(loader).startswith("shim"):
        for path in found:
            if path.rpartition("/")[0] == folder and _name(path) in BESIDE_SHIM:
                guest.copy(path, f"{beside}/{_name(path)}")
        if case.facts.family is Family.SUSE:
            _copy_settings(guest, folder, beside)
    guest.copy(loader, f"{beside}/BOOTX64.EFI")


def _without_loader(guest: Tree, found: Sequence[str]) -> Iterator[Finding]:
    """Use systemd-boot of the guest's own for unified images, which boot entries started so far."""
    if not found:
        yield Finding(
            "no-uefi-loader",
            "No boot loader was found on an EFI system partition: will the firmware find one to "
            "start?",
            Severity.WARNING,
            hint=_HINT,
            place="/boot/efi",
        )
        return
    top = re.sub(r"/[^/]*/[^/]*$", "", found[0])
    images = [image.path for image in unified_images(guest)]
    if images and guest.is_file(_SYSTEMD_BOOT):
        guest.copy(_SYSTEMD_BOOT, f"{top}/BOOT/BOOTX64.EFI")
        yield Finding(
            "uefi-loader-added",
            "The firmware's own boot entries started the guest, and stay with Xen: systemd-boot of "
            f"the guest's starts {escaped(images[0])} now, or a newer image beside it.",
            Severity.INFO,
            place=f"{top}/BOOT/BOOTX64.EFI",
        )
        return
    loaders = escaped(", ".join(found[:_MOST]))
    yield Finding(
        "no-uefi-fallback",
        f"The EFI system partition holds {loaders}, which only the firmware's own entries "
        "start, and these stay with Xen: the guest would not boot.",
        Severity.BLOCKER,
        hint=_HINT,
        place=top,
    )


def _copy_settings(guest: Tree, folder: str, beside: str) -> None:
    """Copy what GRUB as SUSE signs it reads, which stands beside it and leads to the real menu.

    That of others looks in its distribution's folder; Red Hat's, which looks beside itself first,
    would start from a copy of the whole menu that no update changes.
    """
    settings = f"{folder}/grub.cfg"
    if guest.is_file(settings) and not guest.exists(f"{beside}/grub.cfg"):
        guest.copy(settings, f"{beside}/grub.cfg")


def _name(path: str) -> str:
    return re.sub(r".*/", "", path).lower()
