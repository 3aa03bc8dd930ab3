# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes that Xen gave to the guest as partitions (xvda1, xvda2), or as a disk without a table.

Xen can call a volume xvda2 although there is no xvda; KVM cannot. So they are put together as the
partitions of one disk, and the guest finds them under the names that it has always used.
"""

from collections.abc import Iterable, Iterator

from xen2kvmd.domain.tree import devices, remove, target_dev
from xen2kvmd.model import Case, Finding, Joined, Severity
from xen2kvmd.rule import rule
from xen2kvmd.xml import Element

# What the new disk has for itself, or what only says where and how Xen had the volume.
_PLACE = frozenset({"source", "target", "driver", "alias", "address", "backingStore", "boot"})


@rule(guide="")
def volumes_joined(domain: Element, case: Case) -> Iterator[Finding]:
    """Put volumes without a partition table together as partitions of one disk.

    Xen starts a guest from them with a kernel of its own; a BIOS needs a partition table, with
    boot code before the first partition.
    """
    for disk in dict.fromkeys(volume.disk for volume in case.joined):
        volumes = [volume for volume in case.joined if volume.disk == disk]
        found = [
            element
            for element in devices(domain, "disk")
            if target_dev(element) in {volume.dev for volume in volumes}
        ]
        lost = sorted({str(child.tag) for element in found for child in element} - _PLACE)
        join(domain, volumes)
        listed = ", ".join(f"'{volume.dev}' is partition {volume.number}" for volume in volumes)
        yield Finding(
            "volumes-joined",
            f"A disk '{disk}' with a partition table is made: {listed} of it.",
            severity=Severity.INFO,
            hint="The guest's own files are changed to these names; check scripts.",
            place=f"devices/disk[{disk}]",
        )
        if lost:
            yield Finding(
                "volume-settings-dropped",
                f"What was set for single volumes of disk '{disk}' is lost: {', '.join(lost)}.",
                hint="Set it for the whole disk with 'virsh edit', if the guest needs it.",
                place=f"devices/disk[{disk}]",
            )


def join(domain: Element, joined: Iterable[Joined]) -> Element:
    """Leave one <disk> for the volumes of each disk, under that disk's name; return the domain."""
    disks = {volume.dev: volume.disk for volume in joined}
    made: set[str] = set()
    for element in devices(domain, "disk"):
        disk, target = disks.get(target_dev(element)), element.find("target")
        if disk is None or target is None:
            continue
        if disk in made:
            remove(element)
            continue
        made.add(disk)
        target.set("dev", disk)
        for child in list(element):
            if child.tag not in _PLACE:
                remove(child)
    return domain
