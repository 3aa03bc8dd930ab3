# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration that is over, as its folder tells of it; and how it is settled, once.

It is settled by an event in its own journal, which the daemon reads again when the job that settles
it ends. Whoever writes it holds the lock that the migration's own worker had.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import cattrs

from xen2kvmd import domain, xml
from xen2kvmd.errors import AlreadySettled, Busy, NotFinished, VmNotFound
from xen2kvmd.jobs import journal, report
from xen2kvmd.jobs.claim import claim
from xen2kvmd.jobs.going_back import MERGING
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.jobs.store import Store
from xen2kvmd.model import Operation, Plan, Request, Settlement
from xen2kvmd.sources import FORMATS, Source, open_source
from xen2kvmd.steps.define import marked_domain
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.libvirt_domain import Domain


@dataclass(frozen=True)
class Migrated:
    """A migration that has succeeded."""

    id: str
    folder: Path
    request: Request
    plan: Plan
    notes: Mapping[str, Any]
    results: Mapping[str, str]

    @property
    def source(self) -> Source:
        """The source, by its UUID where libvirt has it: it may have another name by now."""
        by_name = self.request.document or self.request.source.partition(":")[0] in FORMATS
        if by_name or not self.uuid:
            return open_source(self.request)
        return open_source(replace(self.request, vm=self.uuid))

    @property
    def uuid(self) -> str:
        """The source's UUID; empty if its document has none."""
        return domain.read(self.document).uuid

    def source_runs(self) -> bool | None:
        """Tell whether the source runs; a transient one that is gone does not. None: not known."""
        try:
            return self.source.is_running()
        except VmNotFound:
            return False

    @property
    def document(self) -> str:
        """The source's domain XML."""
        return (self.folder / "source.xml").read_text("utf-8", "surrogateescape")

    def target(self, host: Host) -> Domain | None:
        """Return the domain that the migration made; None if it is gone, or another's now."""
        uuid = xml.parse(self.plan.domain_xml).findtext("uuid") or ""
        return marked_domain(host, self.plan.name, self.id, uuid=uuid)


def settlement(run: Run) -> Settlement:
    """Return what the caller asked for."""
    return cattrs.structure(run.spec, Settlement)


def migrated(run: Run) -> Migrated:
    """Return the migration that the job settles. Raises JobNotFound, NotFinished."""
    store = Store(run.folder.parent)
    record = store.record(settlement(run).migration)
    folder = store.path(record.id)
    events = journal.read(folder / "journal")
    ended = [event for event in events if event["type"] == "ended"]
    if record.operation != Operation.MIGRATE or not ended or ended[-1]["state"] != "succeeded":
        raise NotFinished(
            f"The job {record.id} is no migration that has succeeded.",
            hint="One that failed has undone what it did; one that runs can be cancelled.",
        )
    return Migrated(
        id=record.id,
        folder=folder,
        request=cattrs.structure(record.spec, Request),
        plan=cattrs.structure(json.loads((folder / "plan.json").read_text()), Plan),
        notes={event["key"]: event["value"] for event in events if event["type"] == "note"},
        results={event["key"]: event["value"] for event in events if event["type"] == "result"},
    )


def hold(run: Run, migration: Migrated) -> None:
    """Hold the migration, and its guest, for this job alone. Raises AlreadySettled, Busy."""
    claim(run, domain.read(migration.document).uuid)
    if run.take(_Lock) is None:
        opened = files.try_lock(migration.folder / "lock")
        if opened is None:
            raise Busy(f"Another job settles the migration {migration.id}.", hint="Follow that.")
        run.keep(_Lock(opened), partial(opened.close))
    if done := _settled(migration):
        merged = MERGING in migration.notes
        raise AlreadySettled(
            f"The migration {migration.id} is settled: {done}.",
            hint="Its disks were merged into the source's images: there is no way back."
            if merged
            else "What its report says under 'how to go back' can still be done by hand.",
        )


@dataclass(frozen=True)
class _Lock:
    file: IO[str]


def _settled(migration: Migrated) -> str:
    events = journal.read(migration.folder / "journal")
    return next((event["how"] for event in reversed(events) if event["type"] == "settled"), "")


def _settle(run: Run) -> None:
    """Write down that the migration is settled, and by which job."""
    asked, migration = settlement(run), migrated(run)
    hold(run, migration)
    _write(migration, f"{asked.operation} by job {run.id}")


def _unsettle(run: Run) -> None:
    migration = migrated(run)
    if _settled(migration).endswith(run.id):
        _write(migration, "")


def note(migration: Migrated, key: str, value: str) -> None:
    """Write a note into the migration's own journal; the caller holds it."""
    _append(migration, "note", key=key, value=value)


def result(migration: Migrated, key: str, value: str) -> None:
    """Change a result of the migration, for its report; the caller holds it."""
    _append(migration, "result", key=key, value=value)


def _write(migration: Migrated, how: str) -> None:
    _append(migration, "settled", how=how)


def _append(migration: Migrated, kind: str, **data: str) -> None:
    opened = journal.Journal(migration.folder / "journal")
    try:
        opened.append(kind, **data)
    finally:
        opened.close()
    report.write_again(Store(migration.folder.parent), migration.id)


SETTLE = Step("settle", _settle, _unsettle, cancellable=False)
