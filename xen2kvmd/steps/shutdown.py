# SPDX-License-Identifier: GPL-2.0-or-later
"""Make sure that the source guest does not run (guide 15.2.5 (1))."""

import shlex
from functools import partial

from xen2kvmd.errors import Cancelled, ConnectionFailed, MigrationError, VmNotFound, VmRunning
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.jobs import patience
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.model import Finding, Request, Severity, ShutdownMode
from xen2kvmd.sources import Source, open_source
from xen2kvmd.steps import context, disks, window, xl
from xen2kvmd.steps.define import check_target_off
from xen2kvmd.system import libvirt_uri
from xen2kvmd.system.remotes import Remotes

LAST_WAIT = 60.0  # seconds that a guest which was asked to shut down may take after we gave up


def do(run: Run) -> None:
    """Shut the guest down if the source can; refuse disks that somebody writes to."""
    request = context.request(run)
    if request.finish_by:
        window.check(request, needed=context.plan(run).downtime)
    source = open_source(request)
    if _runs(run):
        _shut_down(run, request, source)
    disks.check_unlocked(context.disks(run))
    check_unchanged(run)


def go_on(run: Run) -> None:
    """Go on with a shutdown that was asked for: the guest may be down by now."""
    if "shutdown-asked" in run.notes and not _runs(run):
        _note_shut_down(run)
    do(run)


def undo(run: Run) -> None:
    """Start the guest again if we have shut it down, and the new one does not run."""
    if "shutdown-asked" not in run.notes:
        return
    request = context.request(run)
    try:
        check_target_off(run)
        open_source(request).start_again(
            context.document(run), seconds=min(request.shutdown_timeout, LAST_WAIT)
        )
    except ConnectionFailed as error:
        raise ConnectionFailed(
            f"The source is not started: {error.message}",
            hint="See that the new guest does not run, then start the source by hand: "
            f"{_by_hand(run)}",
        ) from error


def left_off(run: Run) -> bool:
    """Tell whether we have asked the guest to shut down, and that is not undone."""
    off = False
    for event in run.journal.events:
        match event:
            case {"type": "note", "key": "shutdown-asked"}:
                off = True
            case {"type": "step-undone", "step": "shutdown"}:
                off = False
    return off


def _by_hand(run: Run) -> str:
    """Return how to start the guest; whether it was a transient one cannot be asked now."""
    request = context.request(run)
    virsh = ("virsh", "-c", libvirt_uri.shown(request.source))
    start = shlex.join((*virsh, "start", "--", request.vm))
    document = run.notes.get("backup", str(run.folder / "source.xml"))
    create = shlex.join((*virsh, "create", "--", document))
    return f"{start}; or, if it is not defined there any more, {create}"


def start_again(run: Run) -> None:
    """Start the guest again if we have shut it down, for a backup does no more with it.

    What the backup has is good, whether that succeeds or not. Raises Cancelled.
    """
    if "shutdown-asked" in run.notes and context.request(run).start:
        try:
            waiting = partial(run.fraction, 0.0)
            patience.patiently(partial(undo, run), until=patience.limit(), waiting=waiting)
        except Cancelled:
            raise
        except MigrationError as error:
            failure = Finding("source-not-started", error.message, Severity.WARNING, error.hint)
            run.finding(failure)
            return
        run.result("source", "was shut down; started again")


def _shut_down(run: Run, request: Request, source: Source) -> None:
    """Shut the guest down, and forget what was seen of its disks while it ran.

    The conversion opens them anew, and refuses to go on if its plan is no longer the same.
    """
    if request.shutdown_mode is ShutdownMode.NEVER:
        raise VmRunning(
            f"The guest '{request.vm}' runs.",
            hint="Shut it down, or let the job do it with --shutdown-mode graceful.",
        )
    run.close(Appliance)
    run.close(Remotes)
    run.note("shutdown-asked", run.id)
    source.shut_down(
        seconds=request.shutdown_timeout,
        destroy=request.shutdown_mode is ShutdownMode.DESTROY,
        waiting=lambda share: run.fraction(share, "waiting for the guest to shut down"),
    )
    _note_shut_down(run)


def _note_shut_down(run: Run) -> None:
    run.result("source", "was running; shut down")
    run.note("source-state", "off")
    run.note("stamps", {disk.dev: disks.stamp(run, disk) for disk in context.disks(run)})


def check_unchanged(run: Run) -> None:
    """Raise VmRunning if the source runs again, or a disk was written to since we looked."""
    check_off(run)
    for disk in context.disks(run):
        if disks.stamp(run, disk) != run.notes["stamps"][disk.dev]:
            raise VmRunning(
                f"The disk {', '.join(disk.paths)} was written to since the job began.",
                hint="Shut the source guest down, see that nothing starts it, and migrate again.",
            )


def check_off(run: Run) -> None:
    """Raise VmRunning if the source runs again, as far as that is known."""
    runs = _runs(run)
    if runs:
        raise VmRunning(
            f"The guest '{run.spec['vm']}' was started while it was migrated.",
            hint="See that nothing starts it, and migrate again.",
        )
    xl.check(xl.ask(run, runs=runs))


def _runs(run: Run) -> bool | None:
    """Tell whether the source runs; a transient one is gone when we have shut it down."""
    try:
        return open_source(context.request(run)).is_running()
    except VmNotFound:
        if "shutdown-asked" not in run.notes:
            raise
        return False


SHUTDOWN = Step("shutdown", do, undo, go_on, weight=1)
START_AGAIN = Step("start-again", start_again, weight=1)
