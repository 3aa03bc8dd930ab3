# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of what looks at a guest, plans and migrates: each a field of model.Request."""

from functools import partial

from xen2kvmd.bus import values
from xen2kvmd.bus.option import Option
from xen2kvmd.model import (
    Allocation,
    DiskFormat,
    Engine,
    MacPolicy,
    ShutdownMode,
)

_SET = partial(
    values.matching, pattern="[A-Za-z0-9][A-Za-z0-9._-]{0,127}", says="the name of a set of hooks"
)
_ID = partial(values.matching, pattern="[a-z0-9-]{1,128}", says="an id of a finding")
_PLANNING = "Plan Migrate"

OF_REQUESTS = (
    Option(
        "document", "s", f"Inspect Backup {_PLANNING}",
        "The guest's domain XML, where the caller has read it: the file is not read again. 1 MiB.",
        values.document, "document",
    ),
    Option(
        "path-map", "as", f"Inspect Backup {_PLANNING}",
        "Where disks are read instead of where the source has them. Each item is OLD=NEW. OLD: the "
        "path of a disk, or of a folder above it; or a disk's target name, xvda, or what it has "
        "instead of a path: POOL/VOLUME, or PROTOCOL:NAME. NEW: a path of this host, or "
        "ssh://USER@HOST:PORT/PATH. The first item that matches wins.",
        values.path_map, "path_map",
    ),
    Option(
        "name", "s", f"{_PLANNING} ConvertXml",
        "Name of the new domain; as the source's where it is left out.",
        values.name, "name",
    ),
    Option(
        "target", "s", _PLANNING,
        "The libvirt that gets the guest, by ssh: qemu+ssh://USER@HOST:PORT/system, with "
        "?keyfile=/PATH where a key of its own is needed; this host's where it is left out. Disks "
        "go into a storage pool there, through qemu-nbd of that host, or of this one for rbd.",
        values.text, "target",
    ),
    Option(
        "pool", "s", _PLANNING,
        "libvirt storage pool for the disks; 'default' where this and directory are left out. Of "
        "the types dir, fs and netfs, or logical and rbd, whose volumes are raw.",
        values.pool, "pool",
    ),
    Option(
        "disk-pool", "as", _PLANNING,
        "Pools of single disks. Each item is DISK=POOL, DISK its target name in the source: "
        "xvdb=fast.",
        values.disk_pools, "disk_pools",
    ),
    Option(
        "directory", "s", _PLANNING,
        "Folder of the target host for the disks, instead of a pool; where target is another host, "
        "a storage pool there must have it.",
        values.full_path, "directory",
    ),
    Option(
        "in-place", "b", _PLANNING,
        "Do not copy the disks: the new domain has them in overlays beside the source's images, "
        "which Finalize merges into these, and Rollback throws away. The images must be files of "
        "the target host.",
        values.as_is, "in_place",
    ),
    Option(
        "nfs-export", "s", _PLANNING,
        "Export of an NFS server for the disks, HOST:/DIR, instead of a pool. The pool of the type "
        "netfs that has it is used; where there is none, one is made, which starts with its host.",
        values.nfs_export, "nfs_export",
    ),
    Option(
        "format", "s", _PLANNING,
        "Format of the new disks: qcow2 (the default) or raw.",
        partial(values.one_of, choices=DiskFormat), "format",
    ),
    Option(
        "allocation", "s", _PLANNING,
        "sparse (the default), or preallocated: the disks take their whole size at once.",
        partial(values.one_of, choices=Allocation), "allocation",
    ),
    Option(
        "direct-kernel-boot", "b", _PLANNING,
        "Start the new domain as Xen did, with the kernel and the initrd that the source's "
        "configuration names: they are copied beside the disks, and nothing is made bootable.",
        values.as_is, "direct_kernel_boot",
    ),
    Option(
        "overwrite", "b", _PLANNING,
        "Replace a domain of the new one's name that does not run, and files where its disks go, "
        "unless somebody else uses them. They are kept until the new domain has booted. Migrate "
        "needs org.xen2kvm.overwrite, too.",
        values.as_is, "overwrite",
    ),
    Option(
        "cluster-size", "u", _PLANNING,
        "Bytes of a cluster of the disks' format qcow2, a power of two from 512 to 2097152; QEMU's "
        "default, 65536, where it is left out.",
        partial(values.power_of_two, least=512, most=1 << 21), "cluster_size",
    ),
    Option(
        "compress", "b", _PLANNING,
        "Compress what is copied, in the format qcow2. What the guest writes later is not.",
        values.as_is, "compress",
    ),
    Option(
        "rate-limit", "t", "Migrate Backup",
        "Bytes of data, zeroes not counted, per second that are copied at most, also into a "
        "backup; 0, the default, for no limit.",
        partial(values.between, least=0, most=1 << 40), "rate_limit",
    ),
    Option(
        "network-map", "as", f"{_PLANNING} ConvertXml",
        "What NICs are connected to. Each item is MATCH=NEW. MATCH: the NAME of a bridge or "
        "network, bridge:NAME, network:NAME, mac:ADDRESS, or any. NEW: bridge:NAME or "
        "network:NAME. The first item that matches wins.",
        values.network_map, "nics",
    ),
    Option(
        "mac", "s", f"{_PLANNING} ConvertXml",
        "keep (the default) the MAC addresses, or new: libvirt makes some.",
        partial(values.one_of, choices=MacPolicy), "mac",
    ),
    Option(
        "waive", "as", f"Backup {_PLANNING}",
        "Ids of findings of severity blocker that shall not stop the migration, or the backup.",
        partial(values.each, read=_ID), "waive",
    ),
    Option(
        "hooks", "as", "Migrate",
        "Names of sets of hooks in /etc/xen2kvm/hook-sets.d, which run after the hooks of all "
        "jobs; see xen2kvm-hooks(7).",
        partial(values.each, read=_SET), "hooks",
    ),
    Option(
        "plan-digest", "s", "Migrate",
        "Digest of the plan that was agreed to: the job fails with PlanChanged where the source "
        "is no longer what that plan was made for.",
        values.text, "plan_digest",
    ),
    Option("start", "b", _PLANNING, "Start the new domain (the default).", values.as_is, "start"),
    Option(
        "verify", "b", _PLANNING,
        "Watch the new domain until it has booted (the default). The copies are compared with what "
        "was read of the source in any case.",
        values.as_is, "verify",
    ),
    Option(
        "backup-disks", "s", _PLANNING,
        "Folder of the target host in which a backup of the source's disks is made after the "
        "shutdown, each read back and compared. Restore writes them again. None by default.",
        values.full_path, "backup_disks",
    ),
    Option(
        "backup-pool", "s", _PLANNING,
        "The same in a storage pool of files of this host's libvirt, whatever the target is.",
        values.pool, "backup_pool",
    ),
    Option(
        "autostart", "b", "Migrate",
        "Whether the new domain starts with its host; as a source of libvirt does where this is "
        "left out.",
        values.as_is, "autostart",
    ),
    Option(
        "boot-timeout", "u", _PLANNING,
        "Seconds that the new domain has for its boot, 1 to 86400; 300 by default.",
        partial(values.between, least=1, most=86400), "boot_timeout",
    ),
    Option(
        "not-before", "t", "Migrate Backup",
        "When the job may begin, in microseconds since the epoch; until then it is queued.",
        partial(values.between, least=0, most=1 << 60), "not_before",
    ),
    Option(
        "finish-by", "t", "Migrate",
        "When the new guest has to be up, in microseconds since the epoch. The job fails with "
        "WindowMissed, and the source runs on, if by the plan's estimate it would be later.",
        partial(values.between, least=0, most=1 << 60), "finish_by",
    ),
    Option(
        "hold", "b", "Migrate Backup",
        "Queue the job until Release is called.", values.as_is, "hold",
    ),
    Option(
        "resume", "b", "Migrate",
        "If the job's process dies, or this host stops: go on at the step that was under way, a "
        "copy where it was, twice at most. False by default: the job is undone then, and the "
        "source started again if it ran.",
        values.as_is, "resume",
    ),
    Option(
        "shutdown-mode", "s", "Migrate Backup",
        "What is done about a source of libvirt that runs. graceful (the default): it is asked to "
        "shut down, and the job fails with VmRunning if it does not in time; destroy: then it is "
        "destroyed; never: the job fails at once. A job that fails starts it again.",
        partial(values.one_of, choices=ShutdownMode), "shutdown_mode",
    ),
    Option(
        "shutdown-timeout", "u", "Migrate Backup",
        "Seconds that the source has to shut down, 1 to 86400; 300 by default.",
        partial(values.between, least=1, most=86400), "shutdown_timeout",
    ),
    Option(
        "engine", "s", f"Inspect {_PLANNING}",
        "Who converts what is inside the guest. auto (the default): xen2kvm, and virt-v2v where "
        "the guest is Windows; native: xen2kvm, which refuses Windows; v2v: virt-v2v. What "
        "virt-v2v changes inside the guest, no plan shows.",
        partial(values.one_of, choices=Engine), "engine",
    ),
    Option(
        "virtio-win", "s", f"Inspect {_PLANNING}",
        "Windows' virtio drivers, for virt-v2v: full path of the ISO image or a folder of the "
        "target host. /usr/share/virtio-win by default.",
        values.full_path, "virtio_win",
    ),
    Option(
        "vmdp", "s", f"Inspect {_PLANNING}",
        "SUSE's drivers for Windows, for virt-v2v: full path of vmdp.exe on the target host.",
        values.full_path, "vmdp",
    ),
    Option(
        "root", "s", f"Inspect {_PLANNING}",
        "Root file system that is converted where a guest has several: a device, as Xen calls it: "
        "/dev/xvda2; for virt-v2v /dev/sda2; a subvolume of btrfs: btrfsvol:/dev/xvda2/@; or "
        "first. By default the one that its own boot menu and fstab name; for virt-v2v the first.",
        partial(
            values.matching,
            pattern=r"first|(?:btrfsvol:)?/dev/[A-Za-z0-9_./@:+-]{1,200}",
            says="first, a device, or btrfsvol:DEVICE/SUBVOLUME",
        ),
        "root",
    ),
    Option(
        "keys", "as", f"Inspect {_PLANNING}",
        "What opens the guest's encrypted disks (LUKS). Each item is SELECTOR:credential:NAME: the "
        "passphrase is in the credential xen2kvm.NAME of systemd. SELECTOR: all, a UUID of LUKS, "
        "or a device of Xen: /dev/xvda2.",
        values.disk_keys, "keys",
    ),
    Option(
        "key-descriptors", "a(sh)", f"Inspect {_PLANNING}",
        "The same, handed over: each item is a SELECTOR, and a file descriptor from which the "
        "passphrase is read at once: a memfd (a file of tmpfs will do), no other file, no pipe. "
        "It is kept in memory until the job ends or this host stops. With job-token, it is not "
        "compared.",
        values.handed_keys,
    ),
    Option(
        "packages", "as", _PLANNING,
        "Packages for the guest: full paths of .deb and .rpm files of the target host, or of "
        "folders that hold some. A guest without a kernel that can use virtio gets the kernel that "
        "is among them, and any guest qemu-guest-agent, with what these need.",
        partial(values.each, read=values.full_path), "packages",
    ),
    Option(
        "guest-repositories", "b", _PLANNING,
        "The guest's own package manager may fetch what is missing from the repositories that the "
        "guest is configured for, through this host's network; it may not by default.",
        values.as_is, "guest_repositories",
    ),
    Option(
        "guest-agent", "b", _PLANNING,
        "Enable the QEMU guest agent: installed with packages or guest-repositories, else from the "
        "guest's repositories when it is first started. It is left alone by default.",
        values.as_is, "guest_agent",
    ),
)  # fmt: skip
