# SPDX-License-Identifier: GPL-2.0-or-later
"""Go back after a migration: the new guest is stopped for good before the source starts again.

They have the same addresses, and would do the same work twice. So whatever goes wrong, one of them
at most runs: until the source has started, the job is undone by starting the target again; after
that, nothing is undone any more.
"""

import shlex
import time
from pathlib import Path

from xen2kvmd.errors import Failed, MigrationError
from xen2kvmd.jobs.going_back import MERGING
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Finding, Severity
from xen2kvmd.steps import mounts
from xen2kvmd.steps.define import check_no_twin
from xen2kvmd.steps.migrated import SETTLE, Migrated, hold, migrated, settlement
from xen2kvmd.system import libvirt_uri
from xen2kvmd.system.libvirt import TARGET_URI, Host
from xen2kvmd.targets import Directory, StoragePool, target_host

MOMENT = 10.0  # seconds that a source which is about to shut down, or to start, may take

TARGET_GONE = Finding(
    "target-gone",
    "The domain that the migration made is gone, or was replaced by another.",
    Severity.WARNING,
    hint="If it was renamed, stop it by hand before the source is used; its disks were left alone.",
)
START_BY_HAND = Finding(
    "source-not-started",
    "The source is a file: its guest has to be started on the Xen host by hand.",
    Severity.WARNING,
    hint="There: virsh start GUEST, or xl create GUEST.cfg.",
)


def _fence(run: Run) -> None:
    """Stop the target, and keep it from starting with its host."""
    migration = migrated(run)
    hold(run, migration)
    if MERGING in migration.notes:
        raise Failed(
            f"The disks of '{migration.plan.name}' were merged into the source's images.",
            hint=f"There is no way back from that: finish it by 'xen2kvm finalize {migration.id}'.",
        )
    migration.source_runs()  # if its host cannot be asked, the target shall run on
    with target_host(migration.request) as host:
        domain = migration.target(host)
        if domain is None:
            run.finding(TARGET_GONE)
            return
        run.note("fenced", {"ran": domain.is_active(), "autostart": domain.autostarts()})
        domain.set_autostart(on=False)
        limit = settlement(run).shutdown_timeout
        run.note("asked", domain.name)
        domain.stop(limit, lambda share: run.fraction(share, "shutting down"))
    run.result("target", "stopped, and does not start with its host")


def _unfence(run: Run) -> None:
    """Let the target run on as it did, unless the source runs, whoever started it."""
    before = run.notes.get("fenced")
    if before is None:
        return
    migration = migrated(run)
    comes = _source_comes if "source-asked" in run.notes else Migrated.source_runs
    try:
        if comes(migration):
            return
    except MigrationError as error:
        target = libvirt_uri.shown(migration.request.target or TARGET_URI)
        by_hand = shlex.join(("virsh", "-c", target, "start", "--", migration.plan.name))
        raise type(error)(
            f"The new guest stays off, for the source may run: {error.message}",
            hint=f"See that the source does not run, then start the new guest by hand: {by_hand}",
            said=error.said,
        ) from error
    with target_host(migration.request) as host:
        domain = migration.target(host)
        if domain is not None:
            domain.set_autostart(on=before["autostart"])
            # If it was asked to shut down, it may be about to.
            seconds = settlement(run).shutdown_timeout if "asked" in run.notes else 0
            if before["ran"] and domain.stops_within(seconds):
                domain.start(paused=False)


def _source_comes(migration: Migrated) -> bool:
    """Tell whether the source that we asked to start runs, or is about to.

    A libvirt that was lost before it answered may have heard the call all the same.
    """
    limit = time.monotonic() + MOMENT
    while not (runs := migration.source_runs()) and time.monotonic() < limit:
        time.sleep(1)
    return bool(runs)


def _start_source(run: Run) -> None:
    """Start the source, if the migration had shut it down."""
    migration = migrated(run)
    _check_stopped(migration)
    running = migration.source_runs()
    if running is None:
        run.finding(START_BY_HAND)
    elif running:
        run.result("source", "runs already")
    elif "shutdown-asked" not in migration.notes:
        run.result("source", "did not run before the migration; left as it is")
    else:
        run.note("source-asked", migration.id)
        migration.source.start_again(migration.document, seconds=MOMENT)
        run.result("source", "started again")


def _check_stopped(migration: Migrated) -> None:
    """Raise Failed if the target runs: somebody started it meanwhile."""
    with target_host(migration.request) as host:
        domain = migration.target(host)
        if domain is not None and domain.is_active():
            raise Failed(
                f"The new guest '{migration.plan.name}' runs again: somebody started it.",
                hint="The source was not started. See who did it, and roll back once more.",
            )
        check_no_twin(host, migration.uuid)


def _remove_target(run: Run) -> None:
    """Remove the target's disks and then its domain, if the caller wants it.

    Overlays over the source's images go in any case: they mean nothing once the source has run.
    In this order, so that a job which died in between finds by the domain what is left.
    """
    migration = migrated(run)
    if not (settlement(run).remove_target or migration.request.in_place):
        return
    mounts.check(migration.notes, note=mounts.COPY)
    with target_host(migration.request) as host:
        domain = migration.target(host)
        if domain is None:
            return
        for volume in migration.plan.volumes:
            _place(host, volume.pool, volume.path).discard(volume)
        domain.undefine()
    run.result("target", "removed, with its disks")


def _place(host: Host, pool: str, path: str) -> StoragePool | Directory:
    return StoragePool(host, pool) if pool else Directory(str(Path(path).parent))


ROLLBACK = (
    Step("fence", _fence, _unfence, weight=5),
    Step("start-source", _start_source, weight=2, cancellable=False),
    Step("remove-target", _remove_target, cancellable=False),
    SETTLE,
)
