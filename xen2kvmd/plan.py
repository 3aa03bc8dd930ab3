# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan: all that a migration will do, found out by doing it to copies. It only reads."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cattrs

from xen2kvmd import domain, estimate, guest, xml
from xen2kvmd.errors import InvalidOption, TargetExists, Unsupported
from xen2kvmd.guest.tree import Tree
from xen2kvmd.model import (
    Allocation,
    BootFile,
    Case,
    DiskFormat,
    Engine,
    Facts,
    Finding,
    Firmware,
    Installed,
    Plan,
    PlannedDisk,
    PlannedFile,
    Request,
    SourceDisk,
    Target,
    VirtType,
    Volume,
)
from xen2kvmd.system.disk import CLUSTER
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.measure import BLOCK
from xen2kvmd.targets import Place, addresses, boot_place, links
from xen2kvmd.targets.needs import needs
from xen2kvmd.targets.room import UNCERTAIN, Need, check_room, doubts

Places = Mapping[str, Place]  # by <target dev>

# Findings that may differ in two plans of one source.
PASSING = (
    *(addresses.ID, UNCERTAIN, "remote-disks", "filesystem-has-errors", "source-not-shut-down"),
    *links.AT_BOOT,
)


@dataclass(frozen=True)
class Inputs:
    """What a plan is made of: what was asked for, the source as it was read, the target's host."""

    request: Request
    document: str  # the source's domain XML
    disks: Sequence[SourceDisk]
    host: Host
    boot_files: Sequence[BootFile] = ()


def check_target(
    inputs: Inputs, *, places: Places, more: Iterable[Need] = ()
) -> tuple[Finding, ...]:
    """Refuse what cannot go there; return where nobody knows whether it has room.

    more is what else takes room: it may lie on the target's file system.

    Raises InvalidName, InvalidOption, TargetExists, PoolNotFound or InsufficientSpace.
    """
    request, host = inputs.request, inputs.host
    source = domain.read(inputs.document)
    name = domain.check_name(request.name or source.name)
    there = host.domain(name)
    if there is not None and not request.overwrite:
        raise TargetExists(
            f"The target host has a domain '{name}' already.",
            hint="Choose another name for the target with --name, or replace it with --overwrite.",
        )
    if there is not None and (trouble := there.irreplaceable()):
        raise TargetExists(
            f"The domain '{name}' of the target host cannot be replaced: {trouble}.",
            hint="Choose another name for the target with --name.",
        )
    same = there is not None and there.uuid == source.uuid
    if source.uuid and host.uuid_exists(source.uuid) and not same:
        raise TargetExists(
            f"The target host has a domain with the UUID {source.uuid} already.",
            hint="Was this guest migrated before? Undefine that domain first, if it may go.",
        )
    _check_format(request, inputs.disks)
    _check_direct(request, source.kernel)
    wanted = (*needs(request, inputs.disks, places, inputs.boot_files), *more)
    check_room(wanted)
    return tuple(doubts(wanted).values())


def make_case(
    inputs: Inputs,
    *,
    facts: Facts,
    places: Places,
    kvm: bool,
    agent: bool,
    under_xen: bool = False,
) -> Case:
    """Decide where the guest goes, which check_target() did not refuse, and how it is called there.

    Raises TargetExists and PoolNotFound.
    """
    request, disks, boot_files = inputs.request, inputs.disks, inputs.boot_files
    source = domain.read(inputs.document, origin="".join(map(_place, disks)))
    name = request.name or source.name
    joined = tuple(part for disk in disks for part in disk.joined)
    whole = domain.join(xml.parse(inputs.document), joined)
    devices = domain.target_names(whole, virtio=facts.virtio)
    return Case(
        # A disk for both, as of cloud images, is started by what started it under Xen.
        facts=replace(facts, firmware=Firmware.UEFI) if source.uefi else facts,
        target=Target(
            name=name,
            uuid=source.uuid,
            virt_type=VirtType.KVM if kvm else VirtType.QEMU,
            under_xen=under_xen,
            emulator=inputs.host.emulator(facts.arch).path,
            volumes=tuple(
                places[disk.dev].volume(
                    dev=disk.dev,
                    name=_volume_name(name, dict(devices)[disk.dev], request.format),
                    disk_format=request.format,
                    may_exist=request.overwrite,
                )
                for disk in disks
            ),
            boot_files=tuple(_boot_volume(request, name, file, places) for file in boot_files),
            boot_version="".join(file.version for file in boot_files),
            nics=request.nics,
            mac=request.mac,
        ),
        nics=source.nics,
        devices=devices,
        joined=joined,
        kind=source.kind,
        cmdline=source.cmdline,
        kernel_on_host=bool(source.kernel),
        agent=agent,
    )


def _place(disk: SourceDisk) -> str:
    """Return where a disk is: no other guest, of this host or another, has it there."""
    return f"\n{disk.host}{disk.parts[0].path if disk.parts else disk.paths[-1]}"


def make_plan(
    inputs: Inputs,
    *,
    case: Case,
    tree: Tree,
    found: Sequence[Finding] = (),
    installed: Installed,
    inside: bool = True,
    runs: bool = False,
    autostart: bool = False,
    limit: int = 0,
) -> tuple[Plan, guest.Rehearsed]:
    """Convert copies of the domain XML and of the guest's files; return what that showed.

    found is what is known already, of the source; installed is what came into the tree before.
    inside is false where another program converts what is inside the guest: what that will change,
    nobody knows. runs tells whether the source has to be shut down first, autostart whether the new
    guest starts with its host; limit is how many bytes per second are read at most, 0: all.
    """
    request, disks, host = inputs.request, inputs.disks, inputs.host
    rehearsed = guest.rehearse(tree, case) if inside else guest.Rehearsed((), (), ())
    inside_changes = (*installed.changes, *rehearsed.changes)
    converted = domain.convert(inputs.document, case)
    source_name = domain.read(inputs.document).name
    known = {source_name, case.target.name}
    kvm, volumes = case.target.virt_type is VirtType.KVM, case.target.volumes
    findings = (
        *found,
        *converted.findings,
        *links.missing(converted.domain_xml, host),
        *(links.not_at_boot(converted.domain_xml, volumes, host) if autostart else ()),
        *addresses.shared(converted.domain_xml, host, besides=known),
        *installed.findings,
        *rehearsed.findings,
        *((guest.still_under_xen(inside_changes, rehearsed.findings, case),) if inside else ()),
    )
    data = sum(disk.most for disk in disks)
    seconds = estimate.downtime(request, data, kvm=kvm, runs=runs, limit=limit)
    volume_of = {volume.dev: volume for volume in volumes}
    plan = Plan(
        name=case.target.name,
        source_name=source_name,
        facts=case.facts,
        disks=tuple(
            PlannedDisk(disk, volume_of[disk.dev], dict(case.devices)[disk.dev]) for disk in disks
        ),
        changes=(*converted.changes, *inside_changes),
        findings=findings,
        domain_xml=converted.domain_xml,
        bytes_total=0 if request.in_place else data,
        seconds=seconds,
        downtime=seconds,
        boot_files=tuple(map(PlannedFile, inputs.boot_files, case.target.boot_files)),
    )
    return replace(plan, digest=_digest(plan)), rehearsed


def _boot_volume(request: Request, name: str, file: BootFile, places: Places) -> Volume:
    """Return where a kernel or an initrd goes: libvirt gives QEMU files, and no block devices."""
    volume = boot_place(places).volume(
        dev=file.element,
        name=_volume_name(name, file.element, DiskFormat.RAW),
        disk_format=DiskFormat.RAW,
        may_exist=request.overwrite,
    )
    if volume.ceph or volume.is_block:
        raise Unsupported(
            f"The {file.element} cannot lie in pool '{volume.pool}': it has no files.",
            hint="Leave out --direct-kernel-boot, or put the first disk into a pool of files.",
        )
    return volume


def _volume_name(name: str, device: str, disk_format: DiskFormat) -> str:
    suffix = "qcow2" if disk_format is DiskFormat.QCOW2 else "img"
    return f"{name}-{device}.{suffix}"


def _check_format(request: Request, disks: Sequence[SourceDisk]) -> None:
    """Refuse what the format of the target's disks does not have."""
    if request.format is not DiskFormat.QCOW2:
        if request.in_place:
            raise InvalidOption(
                "A disk that is converted in place keeps its format.", hint="Leave out --format."
            )
        if request.cluster_size or request.compress:
            raise InvalidOption(
                f"Disks of the format {request.format} have no clusters, and are not compressed.",
                hint="Leave out --cluster-size and --compress, or ask for qcow2.",
            )
    if request.compress:
        if request.allocation is Allocation.PREALLOCATED:
            raise InvalidOption(
                "A preallocated disk is not compressed: QEMU writes no compressed cluster over one "
                "that is there.",
                hint="Leave out --allocation, or --compress.",
            )
        _check_compressible(disks, request.cluster_size or CLUSTER)


def _check_compressible(disks: Sequence[SourceDisk], cluster: int) -> None:
    """Refuse what QEMU cannot compress: it does so cluster by cluster, and we block by block."""
    if cluster > BLOCK:
        raise InvalidOption(
            f"Clusters of {cluster} bytes cannot be compressed.",
            hint=f"Ask for {BLOCK} at most, with --cluster-size.",
        )
    for disk in disks:
        if disk.size % cluster:
            raise InvalidOption(
                f"Disk '{disk.dev}' cannot be compressed: its {disk.size} bytes are no whole "
                f"number of clusters of {cluster}.",
                hint="Ask for a smaller --cluster-size, or leave out --compress.",
            )


def _check_direct(request: Request, kernel: str) -> None:
    """Refuse direct kernel boot where there is nothing to start, or no place for it."""
    if not request.direct_kernel_boot:
        return
    if not kernel:
        raise InvalidOption(
            "The source's configuration names no kernel: the guest cannot be started with it.",
            hint="Leave out --direct-kernel-boot: the guest starts the kernel on its disk.",
        )
    if request.in_place or request.engine is Engine.V2V:
        raise InvalidOption(
            "Direct kernel boot is not for what is converted in place, or by virt-v2v.",
            hint="Leave out --direct-kernel-boot.",
        )


def _digest(plan: Plan) -> str:
    """Return a digest of what the plan will do; estimates and allocated sizes are left out.

    So is what PASSING names: another answer changes nothing of the plan, and a person who does what
    a hint says makes it another.
    """
    content = cattrs.unstructure(plan)
    content["findings"] = [one for one in content["findings"] if one["id"] not in PASSING]
    for key in ("digest", "seconds", "downtime", "bytes_total"):
        del content[key]
    for disk in content["disks"]:
        for key in ("allocated", "used", "unused"):
            del disk["source"][key]
    text = json.dumps(content, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
