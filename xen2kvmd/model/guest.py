# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest is, seen from inside."""

from dataclasses import dataclass, field
from enum import StrEnum


class Family(StrEnum):
    """Guests whose configuration files and tools are alike."""

    DEBIAN = "debian"
    SUSE = "suse"
    REDHAT = "redhat"
    LINUX = "linux"  # some other Linux
    WINDOWS = "windows"
    UNKNOWN = "unknown"


class Firmware(StrEnum):
    """What starts the guest's boot loader."""

    BIOS = "bios"
    UEFI = "uefi"


@dataclass(frozen=True)
class Kernel:
    """A kernel installed in the guest; paths are the guest's own."""

    version: str
    image: str
    initrd: str = ""
    virtio: bool = True  # it has virtio_blk, virtio_net and virtio_pci, built in or as modules
    initrd_virtio: bool = True  # its initrd can find a virtio disk

    @property
    def is_unified(self) -> bool:
        """Whether image and initrd are one program for UEFI (systemd-stub(7))."""
        return self.initrd.lower().endswith(".efi")


@dataclass(frozen=True)
class BootArea:
    """Where a BIOS boot loader lies on the boot disk, and how it reaches its menu.

    room is how many bytes are free for it from `sector` on; 0 if there is no place, or it holds
    data that are not a boot loader's; free means that no partition is there, and GPT wants one.
    device is GRUB's name of the file system with its menu, "(,msdos1)" or "(lvm/vg-root)"; folder
    is where the guest has the menu, "/boot/grub", prefix the same folder seen from the root of its
    file system, "/grub" where /boot is one of its own, "/@/boot/grub" in a subvolume of btrfs.
    """

    table: str = ""  # partition table: msdos, gpt, or "" for none
    sector: int = 0
    room: int = 0
    free: bool = False
    filesystem: str = ""  # as blkid calls it: ext4, xfs, btrfs
    device: str = ""
    prefix: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Facts:
    """What inspection found inside the guest.

    The defaults are those of a current Linux guest, for when nobody looked (ConvertXml).
    root is the guest's own device name of / under Xen as the domain XML has it ("/dev/xvda1");
    missing are folders of the system that its fstab mounts, each with the device, and that are not
    on the disks that we have; other_roots are devices that look like a root, too, or subvolumes
    (btrfsvol:/dev/xvda1/@), as Request.root names them.
    """

    family: Family = Family.LINUX
    distro: str = "unknown"  # ID of os-release: debian, sles, rhel, ...
    version: str = ""  # VERSION_ID of os-release
    product: str = ""  # PRETTY_NAME of os-release
    arch: str = "x86_64"
    hostname: str = ""
    firmware: Firmware = Firmware.BIOS
    root: str = ""
    missing: tuple[tuple[str, str], ...] = ()
    subvolume: str = ""  # of btrfs, with the root: "@"; "" for its top
    other_roots: tuple[str, ...] = ()
    read_only: bool = False  # the root is a subvolume that cannot be written to
    bootloader: str = ""  # grub2, grub-legacy, extlinux, systemd-boot, or "" for no menu
    boot_code: bool = True  # the boot disk holds code that a BIOS can start
    boot_disk: str = ""  # <target dev> of the disk with /boot: xvda
    boot_area: BootArea = field(default_factory=BootArea)
    kernels: tuple[Kernel, ...] = ()  # the one to boot first
    initrd_tool: str = ""  # initramfs-tools, dracut, mkinitrd, mkinitcpio, mkinitfs
    init: str = "systemd"  # systemd, upstart, sysvinit
    agent: bool = False  # qemu-guest-agent is installed
    drivers: bool = False  # a Windows that gets virtio drivers by its conversion

    @property
    def gets_grub_menu(self) -> bool:
        """Whether GRUB comes to its disk and finds no menu there.

        What has boot code keeps its boot loader, one that we do not know included: LILO.
        """
        gets_grub = self.firmware is Firmware.BIOS and not self.boot_code
        without = gets_grub and bool(self.boot_area.table) and self.bootloader != "grub2"
        return without and bool(self.kernels) and self.kernels[0].virtio

    @property
    def virtio(self) -> bool:
        """Whether the new guest can use virtio disks and NICs: nobody looked, or its kernel can."""
        if self.family is Family.WINDOWS:
            return self.drivers
        return self.kernels[0].virtio if self.kernels else True
