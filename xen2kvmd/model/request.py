# SPDX-License-Identifier: GPL-2.0-or-later
"""What a caller asked for, checked at the door."""

from dataclasses import dataclass
from enum import StrEnum

from xen2kvmd.model.target import MacPolicy, NicMap


class Operation(StrEnum):
    """What a job does."""

    GUESTS = "list-guests"
    INSPECT = "inspect"
    PLAN = "plan"
    MIGRATE = "migrate"
    ROLLBACK = "rollback"
    FINALIZE = "finalize"
    BACKUP = "backup"
    RESTORE = "restore"


class SourceForm(StrEnum):
    """What a file is that describes a guest, by the name that virt-v2v or Xen has for it."""

    LIBVIRTXML = "libvirtxml"
    XL = "xl"
    XL_JSON = "xl-json"


class DiskFormat(StrEnum):
    """Format of a target disk."""

    RAW = "raw"
    QCOW2 = "qcow2"


class Allocation(StrEnum):
    """Whether a target disk takes its whole size at once."""

    SPARSE = "sparse"
    PREALLOCATED = "preallocated"


class ShutdownMode(StrEnum):
    """What is done about a source that runs."""

    GRACEFUL = "graceful"  # ask it to shut down; give up if it does not in time
    DESTROY = "destroy"  # ask it to; destroy it if it does not in time
    NEVER = "never"  # leave it alone, and refuse to migrate it


class Engine(StrEnum):
    """Who converts what is inside the guest."""

    AUTO = "auto"  # we do; virt-v2v where the guest is Windows
    NATIVE = "native"
    V2V = "v2v"


class ReportFormat(StrEnum):
    """How the report of a job is written; also the end of its file's name."""

    JSON = "json"
    HTML = "html"


@dataclass(frozen=True)
class PathMap:
    """Read the disks at `old`, a path of the source or a folder, at `new` instead.

    old may also be a disk's target name, or what we call one that has no path (domain/read.py).
    host is ssh://USER@HOST:PORT of the host that has them there, or "" for this one.
    """

    old: str
    host: str
    new: str


LONGEST_KEY = 4096  # bytes; a passphrase of LUKS has 512 at most (cryptsetup(8))


@dataclass(frozen=True)
class DiskKey:
    """What opens an encrypted disk: a credential, or what the caller gave this job; never the key.

    selector is "all", a UUID of LUKS, or the name of a device under Xen: /dev/xvda2. file is the
    name that the caller's has among the job's secrets (jobs/vault.py).
    """

    selector: str
    file: str = ""
    credential: str = ""


@dataclass(frozen=True)
class Request:
    """What a caller asked for, checked at the door.

    source is a URI: "libvirtxml:/path/to/guest.xml" or "xen:///system". vm is the guest's name, or
    its UUID for a libvirt. document is the domain XML itself where the caller has read it; the file
    is not read again then.
    """

    operation: Operation
    source: str
    vm: str = ""
    document: str = ""
    name: str = ""
    target: str = ""  # URI of the target's libvirt; "": this host's
    pool: str = ""
    disk_pools: tuple[tuple[str, str], ...] = ()  # of single disks, by <target dev>: xvdb, fast
    directory: str = ""
    in_place: bool = False  # overlays over the source's images, which finalize merges
    nfs_export: str = ""  # HOST:/DIR, which becomes a pool of the type netfs
    path_map: tuple[PathMap, ...] = ()  # the first that matches wins
    format: DiskFormat = DiskFormat.QCOW2
    allocation: Allocation = Allocation.SPARSE
    direct_kernel_boot: bool = False  # with the kernel and initrd that the Xen host had for it
    cluster_size: int = 0  # of qcow2, in bytes; 0: QEMU's default
    compress: bool = False  # qcow2's clusters
    rate_limit: int = 0  # bytes of data per second that a copy or backup takes; 0: no limit
    overwrite: bool = False  # a domain of the target's name, and its disks, if it does not run
    nics: tuple[NicMap, ...] = ()
    mac: MacPolicy = MacPolicy.KEEP
    waive: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()  # sets of the administrator's, beside those of all jobs
    plan_digest: str = ""
    start: bool = True
    verify: bool = True
    boot_timeout: int = 300  # seconds
    shutdown_mode: ShutdownMode = ShutdownMode.GRACEFUL
    shutdown_timeout: int = 300  # seconds
    engine: Engine = Engine.AUTO
    virtio_win: str = ""  # Windows' virtio drivers, for virt-v2v: an ISO image or a folder
    vmdp: str = ""  # SUSE's drivers for Windows, for virt-v2v: vmdp.exe
    keys: tuple[DiskKey, ...] = ()  # of the guest's encrypted disks
    packages: tuple[str, ...] = ()  # .deb and .rpm files of this host for the guest, or folders
    guest_repositories: bool = False  # the guest's package manager may fetch what is missing
    guest_agent: bool = False  # install and enable the QEMU guest agent
    backup_disks: str = ""  # directory for a backup of the source's disks; "": none is made
    backup_pool: str = ""  # libvirt pool of this host for it instead
    autostart: bool | None = None  # whether the target starts with its host; None: as the source
    not_before: int = 0  # when the job may begin, in microseconds since the epoch
    finish_by: int = 0  # when the new guest must be up, in the same; 0: whenever it is
    hold: bool = False  # it is queued until it is released
    resume: bool = False  # it goes on if its process dies or the host stops, and is not undone
    root: str = ""  # device of the root to convert: Xen's name, virt-v2v's, or first
