# SPDX-License-Identifier: GPL-2.0-or-later
"""Accept a migration: the source is kept from starting by accident, and is told apart.

Its disks are never touched. Its definition goes only where the caller names it once more.
"""

from contextlib import suppress
from pathlib import Path

from xen2kvmd.errors import (
    ConnectionFailed,
    Failed,
    HostKeyUnknown,
    InvalidOption,
    MigrationError,
    SourceAuthFailed,
    VmNotFound,
    VmRunning,
)
from xen2kvmd.jobs.going_back import MERGING
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Finding, Settlement, Severity
from xen2kvmd.steps import backup_disks
from xen2kvmd.steps.accelerate import ACCELERATE
from xen2kvmd.steps.merge import MERGE
from xen2kvmd.steps.migrated import SETTLE, hold, migrated, result, settlement
from xen2kvmd.targets import target_host

RETIRE_BY_HAND = Finding(
    "source-not-retired",
    "The source is a file: what starts its guest on the Xen host is not known here.",
    Severity.WARNING,
    hint="There, forbid it: virsh autostart --disable GUEST, or take it out of /etc/xen/auto.",
)
MAY_START = Finding(
    "source-may-start",
    "The source's libvirt is too old to forbid that the source starts with its host.",
    Severity.WARNING,
    hint="See there that it is not in /etc/xen/auto.",
)
SOURCE_GONE = Finding(
    "source-gone", "The source's libvirt does not know the guest any more.", Severity.INFO
)
NOT_MARKED = Finding(
    "source-not-marked",
    "The source's libvirt keeps no metadata: that the guest was migrated is not written there.",
    Severity.INFO,
)


def _retire(run: Run) -> None:
    """Keep the source from starting with its host, and mark it as migrated.

    Raises VmRunning if it runs, Failed if the target is gone, InvalidOption for the name of
    another guest.
    """
    migration, asked = migrated(run), settlement(run)
    hold(run, migration)
    if asked.undefine_source not in ("", migration.plan.source_name):
        raise InvalidOption(
            f"The source is '{migration.plan.source_name}', not '{asked.undefine_source}'.",
            hint="Name the guest whose definition is to go; its disks stay.",
        )
    with target_host(migration.request) as host:
        if migration.target(host) is None:
            raise Failed(
                f"The new guest '{migration.plan.name}' is gone: there is nothing to accept.",
                hint="Roll back instead, to have the source again.",
            )
    source = migration.source
    try:
        running = source.is_running()
    except VmNotFound:
        run.finding(SOURCE_GONE)
        return
    except (ConnectionFailed, HostKeyUnknown, SourceAuthFailed) as error:
        run.finding(_not_reached(error, asked))
        return
    if running is None:
        if asked.undefine_source:
            raise InvalidOption(
                f"The source '{asked.undefine_source}' cannot be undefined: it is a file, and what "
                "defines its guest is not known here.",
                hint="Leave out --undefine-source, and do it on the Xen host.",
            )
        run.finding(RETIRE_BY_HAND)
        return
    if running:
        raise VmRunning(
            f"The source '{migration.plan.source_name}' runs.",
            hint="See which of the two is in use. If the new one: shut the source down, then "
            f"finalize. If the source: xen2kvm rollback {migration.id}",
        )
    run.note("retired", source.autostarts())
    retired = source.set_autostart(on=False)
    marked = source.mark(migration.id)
    for finding in (*(() if retired else (MAY_START,)), *(() if marked else (NOT_MARKED,))):
        run.finding(finding)
    start = "does not" if retired else "may"
    run.result("source", f"{start} start with its host{'; marked as migrated' * marked}")


def _not_reached(error: MigrationError, asked: Settlement) -> Finding:
    """Return what to tell of a source whose host is gone; raises the error if nobody said so."""
    if not asked.source_gone:
        gone = "If that host is gone, or runs no Xen any more, finalize with --source-gone."
        hint = f"{error.hint} {gone}".strip()
        raise type(error)(error.message, hint=hint, said=error.said) from error
    if asked.undefine_source:
        raise InvalidOption(
            f"The source '{asked.undefine_source}' cannot be undefined: {error.message}",
            hint="Leave out --undefine-source where its host is gone.",
        ) from error
    return Finding(
        "source-not-reached",
        f"The source is as it was, and may start with its host: {error.message}",
        Severity.WARNING,
        hint="Should that host run Xen again, forbid it there: virsh autostart --disable GUEST",
    )


def _unretire(run: Run) -> None:
    """Let the source be as it was, unless its images have become those of the new guest."""
    migration = migrated(run)
    if "retired" not in run.notes or MERGING in migration.notes:
        return
    source = migration.source
    with suppress(VmNotFound):  # it was undefined already
        source.set_autostart(on=run.notes["retired"])
        source.mark("")


def _clear(run: Run) -> None:
    """Remove what the caller does not want any more; the source's definition last.

    If anything fails, the job is undone, which cannot define the source anew. Raises PoolNotFound
    for a backup in a pool that is gone.
    """
    migration, asked = migrated(run), settlement(run)
    if asked.remove_backup and backup_disks.remove(migration.notes):
        run.result("backup-disks", "removed")
    backup = migration.results.get("backup", "")
    if asked.remove_backup and backup:
        Path(backup).unlink(missing_ok=True)
        result(migration, "backup", "")
        run.result("backup", "removed")
    if asked.undefine_source and "retired" in run.notes:
        migration.source.undefine()
        run.result("source", "undefined; its disks are left")


FINALIZE = (
    Step("retire-source", _retire, _unretire),
    MERGE,
    ACCELERATE,
    Step("clear", _clear, cancellable=False),
    SETTLE,
)
