# SPDX-License-Identifier: GPL-2.0-or-later
"""The place that a guest goes to, and all that a rule may know."""

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum

from xen2kvmd.model.guest import Facts
from xen2kvmd.model.source import Joined, Nic


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
class Monitor:
    """Where a monitor of a Ceph cluster listens."""

    host: str
    port: str = "6789"


@dataclass(frozen=True)
class CephPool:
    """Where QEMU finds the images of a libvirt pool of the type rbd, and as whom.

    Without monitors, /etc/ceph/ceph.conf tells them. The key of the user is libvirt's secret of
    this UUID, or for this usage; without a user, Ceph wants none.
    """

    name: str
    monitors: tuple[Monitor, ...] = ()
    user: str = ""
    secret_uuid: str = ""
    secret_usage: str = ""


def export_pool(export: str) -> str:
    """Return the name that the libvirt pool of an NFS export, HOST:/DIR, is given.

    No other export has it: there is a digest in it, unless all of the export is seen in the name.
    """
    export = export.rstrip("/")
    name = f"nfs-{re.sub(r'[^A-Za-z0-9]+', '-', export).strip('-')}"
    if re.fullmatch(r"[A-Za-z0-9]+:(/[A-Za-z0-9]+)*", export):
        return name
    return f"{name}-{hashlib.blake2b(export.encode(), digest_size=4).hexdigest()}"


@dataclass(frozen=True)
class Volume:
    """Where a disk of the source lies on the target: a volume of a pool, or a file (pool "").

    ceph is where an image in Ceph lies; its path is POOL/IMAGE then, as libvirt has it.
    """

    dev: str  # <target dev> of the source's disk; "kernel" or "initrd" of one for direct boot
    path: str
    format: str
    pool: str = ""
    name: str = ""
    ceph: CephPool | None = None

    @property
    def is_block(self) -> bool:
        """Whether it is a block device, of this host or the target's."""
        return self.path.startswith("/dev/")


@dataclass(frozen=True)
class Target:
    """The place that the guest goes to. Empty means: as the source, or as libvirt chooses."""

    name: str = ""
    uuid: str = ""
    virt_type: VirtType = VirtType.KVM
    under_xen: bool = False  # its host runs under Xen now, where there is no KVM
    emulator: str = ""
    machine: str = ""  # "q35" or "pc"; "": the rule chooses by Facts
    cpu: str = ""  # cpu mode: host-passthrough, host-model, maximum; "": by virt_type
    volumes: tuple[Volume, ...] = ()
    boot_files: tuple[Volume, ...] = ()  # kernel and initrd, where it is started with the host's
    boot_version: str = ""  # of that kernel
    nics: tuple[NicMap, ...] = ()
    mac: MacPolicy = MacPolicy.KEEP


@dataclass(frozen=True)
class Case:
    """All that a rule may know.

    devices pairs each disk's name under Xen with its name under KVM ("xvda", "vda"), decided once
    for the domain XML and for the guest's own files (domain/names.py). joined are the volumes that
    become partitions of one of these disks. kind is the guest's under Xen: linux (PV), xenpvh, hvm,
    or "" where nobody knows. cmdline is what the Xen host gave the guest's kernel, which was the
    host's own where kernel_on_host says so; else pygrub put it behind the menu's arguments.
    """

    facts: Facts = field(default_factory=Facts)
    target: Target = field(default_factory=Target)
    nics: tuple[Nic, ...] = ()
    devices: tuple[tuple[str, str], ...] = ()
    joined: tuple[Joined, ...] = ()
    kind: str = ""
    cmdline: str = ""
    kernel_on_host: bool = False
    agent: bool = False  # the QEMU guest agent is to run in the converted guest

    @property
    def direct(self) -> bool:
        """Whether libvirt has the guest's kernel, and its disks need no boot loader."""
        return bool(self.target.boot_files)

    @property
    def paravirtual(self) -> bool:
        """Whether the guest's console under Xen was hvc0 or xvc0, by itself."""
        return self.kind in ("linux", "xenpvh")
