# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's arguments; virt-v2v's names are aliases of ours, so that habits carry over."""

import argparse
from collections.abc import Sequence
from typing import Any

from xen2kvmd import __version__
from xen2kvmd.cli.asked import LIBVIRT
from xen2kvmd.cli.job_arguments import (
    add_command,
    add_detach,
    add_jobs,
    add_report,
    add_settling,
)
from xen2kvmd.cli.numbers import moment, seconds, size
from xen2kvmd.cli.packages import add_packages
from xen2kvmd.cli.values import folder, mac_policy, output_mode, words
from xen2kvmd.model import Allocation, DiskFormat, Engine, MacPolicy, ShutdownMode, SourceForm


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; a wrong one ends the program with a usage message."""
    return make_parser().parse_args(argv)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; the completions of shells are made of it too."""
    parser = argparse.ArgumentParser(
        prog="xen2kvm",
        description="Move virtual machines from Xen to KVM.",
        epilog="xen2kvm COMMAND --help tells more; so does the manual page xen2kvm(1).",
    )
    parser.add_argument("--version", action="version", version=f"xen2kvm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    guests = add_command(commands, "guests", "list the guests of a Xen host")
    guests.add_argument(
        "-c", "--connect", "-ic", metavar="URI", default=LIBVIRT,
        help=f"its libvirt: xen+ssh://root@HOST/system (default: {LIBVIRT})",
    )  # fmt: skip
    for name, text in (
        ("inspect", "tell what a guest is"),
        ("plan", "show all that a migration would change; changes nothing"),
        ("migrate", "migrate a guest"),
    ):
        command = add_command(commands, name, text)
        _add_source(command)
        _add_key(command)
        if name != "inspect":
            _add_target(command)
        if name == "plan":
            command.add_argument("--no-diff", action="store_true", help="leave out the diffs")
        if name == "migrate":
            _add_migration(command)
    check = add_command(commands, "check-host", "tell what this host lacks, and what mends it")
    check.add_argument("--quick", action="store_true", help="start no libguestfs appliance")
    add_jobs(commands)
    _add_backups(commands)
    add_settling(commands)
    add_report(commands)
    convert = add_command(commands, "convert-xml", "print a Xen guest's domain XML as one for KVM")
    convert.add_argument(
        "guest", metavar="FILE", help="domain XML or configuration of xl, - for standard input"
    )
    convert.add_argument(
        "-i", dest="input", type=str.lower, choices=words(SourceForm), help="what FILE is"
    )
    convert.add_argument("--diff", action="store_true", help="print what changes instead")
    _add_name_and_nics(convert)
    return parser


def _add_backups(commands: Any) -> None:
    backup = add_command(commands, "backup", "copy a guest's disks, and start it again")
    _add_source(backup)
    place = backup.add_mutually_exclusive_group(required=True)
    place.add_argument(
        "--directory", dest="folder", type=folder, metavar="DIR",
        help="the backup becomes a folder in this one",
    )  # fmt: skip
    place.add_argument(
        "--pool", dest="backup_pool", metavar="POOL", help="its files become volumes of this pool"
    )
    backup.add_argument("--no-start", action="store_true", help="do not start the guest again")
    _add_conduct(backup)
    _add_waive(backup)
    add_detach(backup)
    restore = add_command(commands, "restore", "write the disks of a backup again")
    restore.add_argument(
        "backup", metavar="BACKUP", help="as the report names it; with --pool, its name there"
    )
    restore.add_argument(
        "--pool", dest="backup_pool", metavar="POOL", help="the storage pool that has it"
    )
    restore.add_argument(
        "--directory", type=folder, metavar="DIR", help="write them here, not where they were"
    )
    add_detach(restore)


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "guest", metavar="GUEST",
        help="file that 'virsh dumpxml' wrote, or configuration of xl; with -c, name or UUID",
    )  # fmt: skip
    command.add_argument(
        "-i", dest="input", type=str.lower, choices=(*words(SourceForm), "libvirt"),
        help=f"what GUEST is (default: by its first character); libvirt: of -c, or {LIBVIRT}",
    )  # fmt: skip
    command.add_argument(
        "-c", "--connect", "-ic", metavar="URI",
        help="the libvirt that has the guest: xen:///system, xen+ssh://root@HOST/system",
    )  # fmt: skip
    command.add_argument(
        "--path-map", action="append", default=[], metavar="OLD=NEW",
        help="read the disk OLD (a path, a folder above, or its name: xvda) at NEW: /PATH or "
        "ssh://USER@HOST:PORT/PATH",
    )  # fmt: skip


def _add_key(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--key", action="append", default=[], metavar="SELECTOR:file:PATH",
        help="what opens an encrypted disk: the file of its passphrase, or :ask, :credential:NAME",
    )  # fmt: skip


def _add_name_and_nics(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", "-on", metavar="NAME", help="name of the target domain")
    command.add_argument(
        "--network", "-n", action="append", default=[], metavar="NAME|OLD:NEW",
        help="connect all NICs, or those of network OLD, to a libvirt network",
    )  # fmt: skip
    command.add_argument(
        "--bridge", "-b", action="append", default=[], metavar="NAME|OLD:NEW|OLD=network:NEW",
        help="connect all NICs, or those of bridge OLD, to a bridge, or to a libvirt network",
    )  # fmt: skip
    command.add_argument(
        "--nic", action="append", default=[], metavar="mac:MAC=network:NEW",
        help="connect the NIC with this MAC address to network:NEW or bridge:NEW",
    )  # fmt: skip
    command.add_argument(
        "--map", metavar="FILE", help="file with lines as bridge:br0 = network:default"
    )
    command.add_argument(
        "--mac", type=mac_policy, choices=words(MacPolicy), help="keep the MAC addresses, or new"
    )  # fmt: skip


def _add_target(command: argparse.ArgumentParser) -> None:
    _add_name_and_nics(command)
    command.add_argument(
        "--target", "-oc", metavar="URI",
        help="the libvirt that gets the guest: qemu+ssh://root@HOST/system (default: this host's)",
    )  # fmt: skip
    command.add_argument(
        "--pool", "-os", action="append", default=[], metavar="POOL|DISK=POOL|HOST:/DIR",
        help="storage pool for the disks, or for one disk (default: default); or an NFS export",
    )  # fmt: skip
    command.add_argument(
        "--directory", type=folder, metavar="DIR", help="directory for the disks instead"
    )
    command.add_argument(
        "--direct-kernel-boot", action="store_true",
        help="start with copies of the kernel and initrd that the Xen host has for the guest",
    )  # fmt: skip
    command.add_argument(
        "--overwrite", action="store_true",
        help="replace a domain of the same name that does not run, and its disks",
    )  # fmt: skip
    command.add_argument(
        "--in-place", action="store_true",
        help="do not copy: use the source's images, changed in overlays until 'finalize'",
    )  # fmt: skip
    command.add_argument("--format", "-of", choices=words(DiskFormat), help="default: qcow2")
    command.add_argument("--allocation", "-oa", choices=words(Allocation), help="default: sparse")
    command.add_argument(
        "--cluster-size", type=size, metavar="SIZE", help="of qcow2: 512 to 2M (default: 64K)"
    )
    command.add_argument("--compress", action="store_true", help="compress the copy, in qcow2")
    command.add_argument(
        "--backup-disks", metavar="DIR|POOL",
        help="keep a backup of the source's disks in this folder, or this storage pool",
    )  # fmt: skip
    _add_waive(command)
    command.add_argument("-o", dest="output", type=output_mode, help=argparse.SUPPRESS)
    add_packages(command)
    _add_engine(command)


def _add_waive(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--waive", action="append", default=[], metavar="ID", help="go on despite this finding"
    )


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--engine", choices=words(Engine),
        help="who converts the guest (default: auto, virt-v2v for Windows)",
    )  # fmt: skip
    command.add_argument("--virtio-win", metavar="PATH", help="virtio-win, for virt-v2v")
    command.add_argument("--vmdp", metavar="FILE", help="SUSE's vmdp.exe, for virt-v2v")
    command.add_argument("--root", metavar="NAME", help="which root is converted")


def _add_migration(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--digest", dest="plan_digest", metavar="DIGEST", help="refuse if the plan is not this one"
    )
    command.add_argument(
        "--autostart", action=argparse.BooleanOptionalAction, default=None,
        help="whether the target starts with its host (default: as the source)",
    )  # fmt: skip
    command.add_argument("--no-start", action="store_true", help="do not start the target")
    command.add_argument("--no-verify", action="store_true", help="do not watch it boot")
    command.add_argument(
        "--boot-timeout", type=seconds, metavar="SECONDS", help="time to boot (default: 300)"
    )
    _add_conduct(command)
    command.add_argument(
        "--finish-by", type=moment, metavar="TIME",
        help="leave the source alone if the target would not be up by then",
    )  # fmt: skip
    command.add_argument(
        "--hooks", action="append", default=[], metavar="SET", help="run this set of hooks, too"
    )
    command.add_argument(
        "--resume", action="store_true",
        help="go on, rather than undo, if the job's process dies or this host stops",
    )  # fmt: skip
    add_detach(command)


def _add_conduct(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--shutdown-mode", choices=words(ShutdownMode),
        help="what to do about a source that runs (default: graceful)",
    )  # fmt: skip
    command.add_argument(
        "--shutdown-timeout", type=seconds, metavar="SECONDS",
        help="time for the source to shut down (default: 300)",
    )  # fmt: skip
    command.add_argument(
        "--not-before", type=moment, metavar="TIME",
        help="begin at this time or later: 22:00, or 2026-12-01T22:00 (local time)",
    )  # fmt: skip
    command.add_argument("--hold", action="store_true", help="begin when the job is released")
    command.add_argument(
        "--rate-limit", type=size, metavar="SIZE", help="copy so many bytes per second at most: 50M"
    )
