# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the source's domain XML where it outlives the job (guide 15.2.2); disks are not touched."""

from pathlib import Path

from xen2kvmd import domain
from xen2kvmd.jobs.step import Run, Step
from xen2kvmd.steps import context, shutdown
from xen2kvmd.system import files


def do(run: Run) -> None:
    """Write the XML to backups/NAME-JOB.xml beside the folder of jobs."""
    folder = run.folder.parent.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    text = context.document(run)
    path = folder / f"{domain.read(text).name}-{run.id}.xml"
    run.note("backup", str(path))
    files.write_atomic(path, text)
    run.result("backup", str(path))


def undo(run: Run) -> None:
    """Remove the XML again if the source is as it was; one that is off may need it."""
    if "backup" in run.notes and not shutdown.left_off(run):
        Path(run.notes["backup"]).unlink(missing_ok=True)


BACKUP = Step("backup", do, undo, weight=1)
