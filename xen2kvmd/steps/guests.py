# SPDX-License-Identifier: GPL-2.0-or-later
"""List the guests of a Xen host, with what libvirt knows of them; nothing is opened or started."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import cattrs

from xen2kvmd import domain
from xen2kvmd.errors import MigrationError
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import ListedDisk, ListedGuest
from xen2kvmd.sources import open_host, open_source
from xen2kvmd.steps import context
from xen2kvmd.system import disk as images
from xen2kvmd.system import remote_sizes, ssh
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.libvirt_domain import Domain

log = logging.getLogger(__name__)


def do(run: Run) -> None:
    """Note all guests as `guests`; one whose XML makes no sense is listed with its trouble."""
    request = context.request(run)
    far = open_source(request).disk_host
    with open_host(request.source) as host:
        listed = [_listed(host, found, local=not far) for found in host.domains()]
    if far:
        try:
            listed = _with_sizes(far, listed)
        except MigrationError as error:  # libvirt has told its part
            log.warning("%s %s", error, error.hint)
    run.note("guests", cattrs.unstructure(listed))
    run.result("guests", str(len(listed)))


def _listed(host: Host, found: Domain, *, local: bool) -> ListedGuest:
    try:
        source = domain.read(found.xml())
    except MigrationError as error:
        return ListedGuest(found.name, found.uuid, found.state(), trouble=error.message)
    return ListedGuest(
        name=found.name,
        uuid=found.uuid,
        state=found.state(),
        kind=source.kind,
        os=source.os,
        memory=source.memory,
        vcpus=source.vcpus,
        disks=tuple(_disks(host, found, source, local=local)),
    )


def _disks(
    host: Host, found: Domain, source: domain.SourceDomain, *, local: bool
) -> Iterator[ListedDisk]:
    """Yield the disks; their size by a look at a disk of this host, else as libvirt tells it."""
    for disk in source.disks:
        if disk.device != "disk":
            continue
        size = 0
        if local and disk.type in ("file", "block"):
            with suppress(MigrationError):  # what is wrong with it, a plan says
                size = images.examine(disk.path, disk.format).size
        size = size or found.disk_size(disk.dev) or host.volume_size(disk.path)
        yield ListedDisk(disk.dev, disk.path, disk.format, size)


def _with_sizes(far: str, listed: list[ListedGuest]) -> list[ListedGuest]:
    """Let the other host tell the sizes of its disks, of those that libvirt did not tell."""
    disks = [(disk.path, disk.format) for guest in listed for disk in guest.disks if not disk.size]
    with ssh.connected(far) as connection:
        found = remote_sizes.sizes(connection, disks)
    return [
        replace(
            guest,
            disks=tuple(
                replace(disk, size=disk.size or found.get((disk.path, disk.format), 0))
                for disk in guest.disks
            ),
        )
        for guest in listed
    ]


GUESTS = Step("guests", do)
