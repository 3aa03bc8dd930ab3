# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot code for BIOS where there is none.

pygrub reads a paravirtualised guest's menu from outside, so many a guest's disk holds no code that
a BIOS could start: it would hang at "Booting from Hard Disk...". The guest's own grub-install is
preferred; where it cannot (no GRUB for PCs is installed), GRUB of this host is used, placed as
grub-install does it: boot.img in sector 0, core.img behind the partition table, modules beside the
menu.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

from xen2kvmd.guest.menus import read_menu
from xen2kvmd.guest.plain_entries import plain_entries
from xen2kvmd.guest.tree import BootCode, Tree
from xen2kvmd.model import BootArea, Case, Facts, Finding, Firmware, Severity
from xen2kvmd.rule import rule
from xen2kvmd.system import host_grub
from xen2kvmd.system.command import run
from xen2kvmd.system.host_grub import PLATFORM

GUEST_MODULES = ("/usr/lib/grub", "/usr/share/grub2", "/usr/lib/grub2")
INSTALLERS = ("grub-install", "grub2-install")

SECTOR = 512
CODE = 440  # bytes of sector 0; the disk's signature and the partition table follow
KERNEL_SECTOR = 0x5C  # in boot.img: where core.img begins
BLOCK_LIST = 0x1F4  # in core.img's first sector: where its second begins
ENOUGH = 62 * 1024  # bytes that grub-install's core may take; ours, of fewer modules, takes half
# GRUB's module for each file system that can hold its menu.
READERS = {"ext2": "ext2", "ext3": "ext2", "ext4": "ext2", "xfs": "xfs", "btrfs": "btrfs"}
READERS |= {"reiserfs": "reiserfs", "jfs": "jfs", "vfat": "fat"}
LAYERS = ("lvm", "mdraid1x", "mdraid09")  # a volume may lie on an array


@rule(guide="15.2.3")
def bios_boot_code(guest: Tree, case: Case) -> Iterator[Finding]:
    """Give the boot disk code that a BIOS can start.

    The disk has none: under Xen, pygrub or the host's own kernel started the guest.
    """
    facts = case.facts
    if facts.boot_code or facts.firmware is not Firmware.BIOS or case.direct:
        return
    missing = _no_place(facts.boot_area)
    if missing:
        yield missing
        return
    installer = _guests_own(guest, facts.boot_area)
    code = _hosts(facts)
    if isinstance(code, Finding) and not installer:
        yield code
        return
    if facts.boot_area.free:
        area = facts.boot_area
        guest.divide(facts.boot_disk, area.sector, area.room // SECTOR)
    plain = isinstance(code, BootCode) and _needs_plain_entries(guest, code)
    if installer:
        second = code if isinstance(code, BootCode) and not plain else None
        yield from _install(guest, case, installer, second)
    elif isinstance(code, BootCode):
        guest.install(code)
        if plain:
            yield from plain_entries(guest, case)


def _install(guest: Tree, case: Case, installer: str, second: BootCode | None) -> Iterator[Finding]:
    """Let the guest's own GRUB install itself, or, if it fails, this host's."""
    disk = dict(case.devices)[case.facts.boot_disk]
    command = (installer, f"--target={PLATFORM}", f"/dev/{disk}")
    if second is None:
        guest.run(*command)
        return
    yield Finding(
        "host-grub-second",
        f"If the guest's {installer} fails, GRUB of this host is installed in its place.",
        Severity.INFO,
        place=f"disk {case.facts.boot_disk}",
    )
    yield from guest.attempt(
        *command,
        failing=Finding(
            "host-grub-installed",
            "GRUB of this host is installed in its place.",
            Severity.WARNING,
            hint=f"Find out in the new guest why {installer} fails: an update of GRUB needs it.",
            place=f"disk {case.facts.boot_disk}",
        ),
        code=second,
    )


def _needs_plain_entries(guest: Tree, code: BootCode) -> bool:
    """Tell whether the menu takes its entries from files that this GRUB cannot read."""
    menu = read_menu(guest)
    return menu is not None and menu.kind == "bls" and not Path(code.modules, "blscfg.mod").exists()


def _hosts(facts: Facts) -> BootCode | Finding:
    """Return this host's GRUB for the guest's disk, or why it would not do."""
    area = facts.boot_area
    if not _readable(area):
        return _blocker(
            "boot-filesystem-unknown",
            f"/boot lies on {area.filesystem or 'a file system'} where this host's GRUB could not "
            "find it (encrypted, a thin volume, a snapshot, or on another disk), and the guest has "
            "none for BIOS.",
            hint="Install GRUB for BIOS in the guest under Xen: grub-pc-bin (Debian), "
            "grub2-i386-pc (SUSE), grub2-pc (Red Hat).",
        )
    modules = next((path for path in host_grub.MODULES if (path / "boot.img").exists()), None)
    tool = next((path for path in host_grub.TOOLS if path.exists()), None)
    if modules is None or tool is None:
        return _blocker(
            "grub-missing",
            "The disk has no boot code, neither the guest nor this host has GRUB for BIOS.",
            hint="Install the package grub-pc-bin (SUSE: grub2-i386-pc; Red Hat: "
            "grub2-pc-modules) on this host.",
        )
    code = build(facts.boot_disk, area, modules=modules, tool=tool)
    if len(code.core) > area.room:
        return _blocker(
            "boot-gap-too-small",
            f"GRUB needs {-(-len(code.core) // 1024)} KiB before the first partition; "
            f"{area.room // 1024} KiB are free.",
            hint="Move the first partition of a copy of the disk to sector 2048.",
        )
    return code


def build(disk: str, area: BootArea, *, modules: Path, tool: Path) -> BootCode:
    """Make boot code that reads the menu's own file system; the other modules are loaded there."""
    with NamedTemporaryFile() as image:  # it cannot write to a pipe
        run(
            [
                str(tool),
                *("--format", PLATFORM, "--directory", str(modules), "--output", image.name),
                *("--prefix", f"{area.device}{area.prefix}"),
                *("biosdisk", _table_module(area), READERS[area.filesystem]),
                *(LAYERS if area.device.startswith(("(lvm/", "(mduuid/")) else ()),
            ],
            timeout=60,
        )
        core = Path(image.name).read_bytes()
    return BootCode(
        disk=disk,
        boot=_placed((modules / "boot.img").read_bytes(), KERNEL_SECTOR, area.sector)[:CODE],
        core=_placed(core, BLOCK_LIST, area.sector + 1),
        sector=area.sector,
        modules=str(modules),
        into=f"{area.folder}/{PLATFORM}",
    )


def _placed(image: bytes, offset: int, sector: int) -> bytes:
    """Write a sector number, 8 bytes as a PC has them, into a boot image."""
    return image[:offset] + sector.to_bytes(8, "little") + image[offset + 8 :]


def _table_module(area: BootArea) -> str:
    return {"msdos": "part_msdos", "gpt": "part_gpt"}[area.table]


def _guests_own(guest: Tree, area: BootArea) -> str:
    """Return the guest's installer if it has GRUB's modules for PCs, and they fit, or "".

    Where this host's GRUB could not read /boot, it is tried in whatever room there is.
    """
    if _readable(area) and area.room < ENOUGH:
        return ""
    if not any(guest.is_file(f"{path}/{PLATFORM}/moddep.lst") for path in GUEST_MODULES):
        return ""
    folders = ("/usr/sbin", "/sbin")
    return next(
        (name for name in INSTALLERS for path in folders if guest.exists(f"{path}/{name}")), ""
    )


def _readable(area: BootArea) -> bool:
    """Tell whether this host's GRUB could find the menu."""
    return area.filesystem in READERS and bool(area.device)


def _no_place(area: BootArea) -> Finding | None:
    """Say why no GRUB can be put on this disk, the guest's own neither, if it cannot.

    Without room for core.img grub-install could be forced to write a list of blocks, which the next
    change of that file breaks; it never is.
    """
    if not area.table:
        return _blocker(
            "no-partition-table",
            "The boot disk has no partition table, so there is no place for boot code.",
            hint="A raw volume with a file system on it is given one; others are not. Make it "
            "a raw image: qemu-img convert -O raw.",
        )
    if not area.room:
        return _blocker(
            "no-boot-gap",
            "There is no free space for boot code between the partition table and the first "
            "partition, nor elsewhere with GPT: it is missing, or holds data of something else.",
            hint="Make room in a copy of the disk: 1 MiB without a partition.",
        )
    return None


def _blocker(name: str, message: str, *, hint: str) -> Finding:
    return Finding(name, message, Severity.BLOCKER, hint=hint)
