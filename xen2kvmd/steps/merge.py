# SPDX-License-Identifier: GPL-2.0-or-later
"""Merge what a migration in place has left in overlays into the source's images.

From its beginning there is no way back: these images were the source's. That is written into the
migration's journal before, so that no rollback starts a source from half of them.
"""

from pathlib import Path

from xen2kvmd import xml
from xen2kvmd.errors import Failed
from xen2kvmd.jobs.going_back import MERGING
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import PlannedDisk
from xen2kvmd.steps.migrated import Migrated, migrated, note
from xen2kvmd.system import disk as images
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.libvirt_domain import Domain
from xen2kvmd.targets import target_host


def do(run: Run) -> None:
    """Merge each disk that is not merged yet, while the guest runs or while it does not.

    Raises Failed if the guest is gone, or has another disk than the overlay: a snapshot over it.
    """
    migration = migrated(run)
    if not migration.request.in_place:
        return
    with target_host(migration.request) as host:
        for planned in migration.plan.disks:
            domain = _domain(migration, host, planned)
            now, later = domain.current(), domain.xml()
            if not (is_overlay(planned, now) or is_merged(planned, now, later)):
                raise _elsewhere(domain, planned)
    note(migration, MERGING, run.id)
    for planned in migration.plan.disks:
        with target_host(migration.request) as host:
            domain = _domain(migration, host, planned)
            if is_overlay(planned, domain.current()):
                _merge(run, host, domain, planned)
                domain = _domain(migration, host, planned)  # it may be defined anew
            if not is_merged(planned, domain.current(), domain.xml()):
                raise _elsewhere(domain, planned)
            Path(planned.volume.path).unlink(missing_ok=True)
        run.result(f"disk-{planned.device}", planned.source.path)


def _domain(migration: Migrated, host: Host, planned: PlannedDisk) -> Domain:
    domain = migration.target(host)
    if domain is None:
        raise Failed(
            f"The new guest '{migration.plan.name}' is gone.",
            hint=f"Its disks are in {planned.volume.path} and the like, over the source's.",
        )
    return domain


def is_overlay(planned: PlannedDisk, now: str) -> bool:
    """Tell whether a domain writes into the overlay, by its XML as it runs."""
    return planned.volume.path in _files(now, "devices/disk/source")


def is_merged(planned: PlannedDisk, now: str, later: str) -> bool:
    """Tell whether a domain has the source's image as its disk, and nothing has the overlay.

    now is its XML as it runs, later as it starts the next time.
    """
    return all(
        planned.source.path in _files(document, "devices/disk/source")
        and planned.volume.path not in _files(document, "devices/disk//source")
        for document in (now, later)
    )


def _files(document: str, where: str) -> frozenset[str]:
    return frozenset(source.get("file", "") for source in xml.parse(document).iterfind(where))


def _elsewhere(domain: Domain, planned: PlannedDisk) -> Failed:
    return Failed(
        f"Disk '{planned.device}' of '{domain.name}' is not {planned.volume.path} any more.",
        hint="It has a snapshot, perhaps. Merge that first, then finalize again: "
        f"virsh blockcommit {domain.name} {planned.device} --active --pivot",
    )


def _merge(run: Run, host: Host, domain: Domain, planned: PlannedDisk) -> None:
    if domain.is_active():
        domain.merge(
            planned.device,
            planned.source.path,
            lambda share: run.fraction(share, f"merging {planned.device}"),
        )
        return
    run.fraction(0.0, f"merging {planned.device}")
    images.merge(planned.volume.path)
    root = xml.parse(domain.definition())
    for disk in root.iterfind("devices/disk"):
        source, driver = disk.find("source"), disk.find("driver")
        if source is not None and source.get("file") == planned.volume.path:
            source.set("file", planned.source.path)
            if driver is not None:
                driver.set("type", planned.source.format)
    host.define(xml.serialize(root))


MERGE = Step("merge", do, weight=10, cancellable=False)
