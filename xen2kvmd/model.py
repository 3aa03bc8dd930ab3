# SPDX-License-Identifier: GPL-2.0-or-later
"""The nouns. Start reading here.

    Request ─▶ source ─▶ domain XML + SourceDisks ─┐
                         inside the guest: Facts ──┼─▶ Case ─▶ rules ─▶ Changes, Findings ─▶ Plan
                         the target host: Target ──┘

Sizes are bytes, times are microseconds since the epoch, unless a name says otherwise.
"""

from dataclasses import dataclass, field
from enum import StrEnum

# --- what a person must know ---------------------------------------------------------------------


class Severity(StrEnum):
    """How much a finding matters; a blocker stops a migration unless its id is waived."""

    INFO = "info"
    WARNING = "warning"
    BLOCKER = "blocker"


@dataclass(frozen=True)
class Finding:
    """Something that a person must know: what is lost, what was not understood, what to do.

    id is stable, lower case with dashes: scripts, waivers and searches use it. place is a file and
    line of the guest ("/etc/fstab:3") or a path in the domain XML ("devices/disk[xvda]").
    """

    id: str
    message: str
    severity: Severity = Severity.WARNING
    hint: str = ""
    place: str = ""


@dataclass(frozen=True)
class Change:
    """What one rule changes in one place: a unified diff, or a command that runs in the guest."""

    rule: str
    guide: str
    summary: str
    place: str
    diff: str = ""
    command: tuple[str, ...] = ()


# --- the source ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SourceDisk:
    """A disk as the source has it.

    dev is its <target dev> ("xvda"), size its virtual size, allocated what it really occupies.
    """

    dev: str
    path: str
    format: str
    size: int
    allocated: int


@dataclass(frozen=True)
class Nic:
    """A network interface of the source: the order in the domain XML is the order in the guest."""

    mac: str
    kind: str  # the interface's type: bridge, network, ...
    source: str  # name of the bridge or network


# --- the guest -----------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class BootArea:
    """Where a BIOS boot loader lies on the boot disk, and how it reaches its menu.

    room is how many bytes are free for it from `sector` on; 0 if there is no place, or it holds
    data that are not a boot loader's. device is GRUB's name of the file system with its menu,
    "(,msdos1)"; folder is where the guest has the menu, "/boot/grub", prefix the same folder seen
    from the root of its file system, "/grub" where /boot is one of its own.
    """

    table: str = ""  # partition table: msdos, gpt, or "" for none
    sector: int = 0
    room: int = 0
    filesystem: str = ""  # as blkid calls it: ext4, xfs, btrfs
    device: str = ""
    prefix: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Facts:
    """What inspection found inside the guest.

    The defaults are those of a current Linux guest, for when nobody looked (ConvertXml).
    root is the guest's own device name of / under Xen as the domain XML has it ("/dev/xvda1").
    """

    family: Family = Family.LINUX
    distro: str = "unknown"  # ID of os-release: debian, sles, rhel, ...
    version: str = ""  # VERSION_ID of os-release
    product: str = ""  # PRETTY_NAME of os-release
    arch: str = "x86_64"
    hostname: str = ""
    firmware: Firmware = Firmware.BIOS
    root: str = ""
    bootloader: str = ""  # grub2, grub-legacy, or "" where none was found
    boot_code: bool = True  # the boot disk holds code that a BIOS can start
    boot_disk: str = ""  # <target dev> of the disk with /boot: xvda
    boot_area: BootArea = field(default_factory=BootArea)
    kernels: tuple[Kernel, ...] = ()  # the one to boot first
    initrd_tool: str = ""  # initramfs-tools, dracut, mkinitrd
    init: str = "systemd"  # systemd, upstart, sysvinit
    agent: bool = False  # qemu-guest-agent is installed

    @property
    def virtio(self) -> bool:
        """Whether the guest can use virtio disks and NICs: nobody looked, or its kernel can."""
        return self.kernels[0].virtio if self.kernels else self.family is not Family.WINDOWS


# --- the target ----------------------------------------------------------------------------------


class VirtType(StrEnum):
    """Type of a libvirt QEMU domain: with hardware virtualisation, or by emulation."""

    KVM = "kvm"
    QEMU = "qemu"


class MacPolicy(StrEnum):
    """Whether the NICs keep their MAC addresses; a new one is made by libvirt."""

    KEEP = "keep"
    NEW = "new"


class LinkKind(StrEnum):
    """What a NIC can be connected to on the target."""

    BRIDGE = "bridge"
    NETWORK = "network"


@dataclass(frozen=True)
class NicMap:
    """Connect the NICs that match to `new`; the first match wins.

    match is "bridge", "network", "mac" or "any"; old the name or address matched ("" for any).
    """

    match: str
    old: str
    kind: LinkKind
    new: str


@dataclass(frozen=True)
class Volume:
    """Where a disk of the source lies on the target: a volume of a pool, or a file (pool "")."""

    dev: str  # <target dev> of the source's disk
    path: str
    format: str
    pool: str = ""
    name: str = ""


@dataclass(frozen=True)
class Target:
    """The place that the guest goes to. Empty means: as the source, or as libvirt chooses."""

    name: str = ""
    uuid: str = ""
    virt_type: VirtType = VirtType.KVM
    emulator: str = ""
    machine: str = ""  # "q35" or "pc"; "": the rule chooses by Facts
    cpu: str = ""  # cpu mode: host-passthrough, host-model, maximum; "": by virt_type
    volumes: tuple[Volume, ...] = ()
    nics: tuple[NicMap, ...] = ()
    mac: MacPolicy = MacPolicy.KEEP


@dataclass(frozen=True)
class Case:
    """All that a rule may know.

    devices pairs each disk's name under Xen with its name under KVM ("xvda", "vda"), decided once
    for the domain XML and for the guest's own files (domain/names.py).
    """

    facts: Facts = field(default_factory=Facts)
    target: Target = field(default_factory=Target)
    nics: tuple[Nic, ...] = ()
    devices: tuple[tuple[str, str], ...] = ()


# --- what a caller wants -------------------------------------------------------------------------


class Operation(StrEnum):
    """What a job does."""

    INSPECT = "inspect"
    PLAN = "plan"
    MIGRATE = "migrate"


class DiskFormat(StrEnum):
    """Format of a target disk."""

    RAW = "raw"
    QCOW2 = "qcow2"


class Allocation(StrEnum):
    """Whether a target disk takes its whole size at once."""

    SPARSE = "sparse"
    PREALLOCATED = "preallocated"


@dataclass(frozen=True)
class Request:
    """What a caller asked for, checked at the door.

    source is a URI: "libvirtxml:/path/to/guest.xml" so far. document is the domain XML itself where
    the caller has read it; the file is not read again then.
    """

    operation: Operation
    source: str
    vm: str = ""
    document: str = ""
    name: str = ""
    pool: str = ""
    directory: str = ""
    format: DiskFormat = DiskFormat.QCOW2
    allocation: Allocation = Allocation.SPARSE
    nics: tuple[NicMap, ...] = ()
    mac: MacPolicy = MacPolicy.KEEP
    waive: tuple[str, ...] = ()
    plan_digest: str = ""
    start: bool = True
    verify: bool = True
    boot_timeout: int = 300  # seconds


# --- the plan ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlannedDisk:
    """A disk with where it goes."""

    source: SourceDisk
    volume: Volume
    device: str  # its name in the converted guest: vda


@dataclass(frozen=True)
class Plan:
    """All that a migration will do, made without changing anything.

    digest names the plan's content without times and estimates: the same source planned twice has
    the same digest. seconds and downtime are estimates.
    """

    name: str  # of the target domain
    source_name: str
    facts: Facts
    disks: tuple[PlannedDisk, ...]
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    domain_xml: str  # of the target
    bytes_total: int
    seconds: int
    downtime: int
    digest: str = ""

    def blockers(self, waived: tuple[str, ...] = ()) -> tuple[Finding, ...]:
        return tuple(
            found
            for found in self.findings
            if found.severity is Severity.BLOCKER and found.id not in waived
        )
