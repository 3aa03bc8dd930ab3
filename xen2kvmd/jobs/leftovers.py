# SPDX-License-Identifier: GPL-2.0-or-later
"""What a worker that is killed leaves outside its job's folder: the next one clears it first."""

from xen2kvmd.jobs.step import Run
from xen2kvmd.system import appliances, remotes

NOTE = "sockets"


def expect(run: Run) -> None:
    """Write down, before the job's first appliance, which folders of appliances are not its own."""
    run.note(NOTE, appliances.folders())


def clear(run: Run) -> None:
    """End the programs of the killed worker; remove its appliance's sockets, and those to hosts.

    Only before any step has opened something: what this worker uses looks the same.
    """
    appliances.end(run.scratch, remotes.folder_of(run.folder), remotes.logins_of(run.folder))
    if NOTE in run.notes:
        appliances.sweep(run.notes[NOTE])
    remotes.sweep(run.folder)
