# SPDX-License-Identifier: GPL-2.0-or-later
"""Find out what a guest is: one look at its disks, one at its files.

libguestfs' own inspection takes ten times as long and starts from a list of disks that it orders
anew; what it knows beyond this (packages, icons, other systems) is not needed here.
"""

import re
import shlex
from dataclasses import replace

from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.init_system import init_system
from xen2kvmd.guest.initrd_tools import initrd_tool
from xen2kvmd.guest.kernels import find_kernels
from xen2kvmd.guest.menu_device import menu_place
from xen2kvmd.guest.menus import readable_menu
from xen2kvmd.guest.mount import Mounts, mount_guest
from xen2kvmd.guest.naming import disk_of, xen_name
from xen2kvmd.guest.partitions import (
    BIOS_BOOT,
    EFI_SYSTEM,
    boot_room,
    has_boot_code,
    read_table,
)
from xen2kvmd.guest.tree import Tree, escaped
from xen2kvmd.model import BootArea, Facts, Family, Firmware

FAMILIES = {
    Family.DEBIAN: {"debian", "ubuntu", "linuxmint", "kali", "devuan", "raspbian"},
    Family.SUSE: {"sles", "sled", "sles_sap", "opensuse", "suse", "opensuse-leap"},
    Family.REDHAT: {"rhel", "centos", "fedora", "ol", "almalinux", "rocky", "scientific"},
}
# Where a release says what it is when it has no os-release: SLES 11, RHEL 5 and 6.
RELEASES = (
    ("/etc/SuSE-release", "sles"),
    ("/etc/oracle-release", "ol"),
    ("/etc/centos-release", "centos"),
    ("/etc/fedora-release", "fedora"),
    ("/etc/redhat-release", "rhel"),
    ("/etc/debian_version", "debian"),
)
MENUS = (
    ("grub2", "/boot/grub2/grub.cfg"),
    ("grub2", "/boot/grub/grub.cfg"),
    ("grub-legacy", "/boot/grub/menu.lst"),
    ("grub-legacy", "/boot/grub/grub.conf"),
)
AGENTS = ("/usr/sbin/qemu-ga", "/usr/bin/qemu-ga")
MACHINES = {3: "i686", 62: "x86_64", 183: "aarch64"}


def inspect(appliance: Appliance) -> Facts:
    """Mount the guest and return what it is. Raises Unsupported where no Linux is found."""
    mounts = mount_guest(appliance)
    facts = _release(appliance)
    loader, menu = _boot_loader(appliance)
    return replace(
        _boot_disk(appliance, mounts, menu, facts),
        arch=_arch(appliance),
        hostname=escaped(_first_line(appliance, "/etc/hostname", "/etc/HOSTNAME")),
        root=xen_name(appliance, mounts.root.device),
        missing=mounts.missing,
        subvolume=escaped(mounts.subvolume),
        other_roots=mounts.other_roots,
        read_only=mounts.read_only,
        bootloader=loader,
        kernels=find_kernels(appliance),
        initrd_tool=initrd_tool(appliance),
        init=init_system(appliance),
        agent=any(appliance.exists(path) for path in AGENTS),
    )


def _boot_loader(tree: Tree) -> tuple[str, str]:
    """Return the guest's boot loader, "" for none, and the path of its menu, or for one."""
    for name, path in MENUS:
        if tree.is_file(path):
            return name, path
    other = readable_menu(tree)
    return other.kind if other else "", "/boot/grub/"


def _boot_disk(appliance: Appliance, mounts: Mounts, menu: str, facts: Facts) -> Facts:
    """Look at the first sectors of the disk that the menu lies on."""
    at, system = mounts.holding(menu.rpartition("/")[0])
    device, _ = disk_of(appliance, system.device)

    def read(sector: int, count: int) -> bytes:
        return appliance.read_bytes(device, offset=sector * 512, size=count * 512)

    table = read_table(read)
    code = has_boot_code(read, table)
    room = boot_room(read, table)
    kinds = {part.kind for part in table.partitions}
    named, prefix = menu_place(appliance, table, system, mounted_at=at, menu=menu)
    uefi = EFI_SYSTEM in kinds and BIOS_BOOT not in kinds and not code
    return replace(
        facts,
        firmware=Firmware.UEFI if uefi else Firmware.BIOS,
        boot_code=code,
        boot_disk=appliance.devices[device],
        boot_area=BootArea(
            table=table.kind,
            sector=room.sector,
            room=room.size,
            free=room.free,
            filesystem=system.kind,
            device=named,
            prefix=prefix,
            folder=menu.rpartition("/")[0],
        ),
    )


def _release(tree: Tree) -> Facts:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if tree.is_file(path):
            return _os_release(tree.read(path))
    for path, distro in RELEASES:
        if tree.is_file(path):
            product = escaped(tree.read(path).partition("\n")[0].strip())
            version = re.search(r"\d+(?:\.\d+)?", product)
            return Facts(
                family=_family(distro),
                distro=distro,
                version=version[0] if version else "",
                product=f"Debian {product}" if distro == "debian" else product,
            )
    return Facts()


def _os_release(text: str) -> Facts:
    values = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            try:
                values[key.strip()] = " ".join(shlex.split(value))
            except ValueError:  # an unclosed quote
                values[key.strip()] = value.strip("'\" ")
    values = {key: escaped(value) for key, value in values.items()}
    distro = values.get("ID", "linux")
    return Facts(
        family=_family(distro, *values.get("ID_LIKE", "").split()),
        distro=distro,
        version=values.get("VERSION_ID", ""),
        product=values.get("PRETTY_NAME", ""),
    )


def _family(*names: str) -> Family:
    for name in names:
        for family, members in FAMILIES.items():
            if name in members or name.partition("-")[0] in members:
                return family
    return Family.LINUX


def _arch(appliance: Appliance) -> str:
    """Read the machine of the guest's shell out of its ELF header."""
    for path in ("/bin/sh", "/usr/bin/sh", "/sbin/init"):
        if appliance.is_file(path):
            header = appliance.call("pread", path, 20, 0)
            if header[:4] == b"\x7fELF":
                return MACHINES.get(int.from_bytes(header[18:20], "little"), "x86_64")
    return "x86_64"


def _first_line(tree: Tree, *paths: str) -> str:
    path = next((path for path in paths if tree.is_file(path)), "")
    return tree.read(path).strip().partition("\n")[0] if path else ""
