# SPDX-License-Identifier: GPL-2.0-or-later
"""Which job works on a guest, by the guest's UUID: it has many names and addresses.

guests/UUID beside the folder of jobs holds the id of the job. It counts until that job is over: a
job whose worker died keeps its guest until another one has undone it, or has gone on to its end.
"""

import uuid

from xen2kvmd.errors import Busy, JobNotFound
from xen2kvmd.jobs.step import Run
from xen2kvmd.jobs.store import Store
from xen2kvmd.system import files


def claim(run: Run, guest: str) -> None:
    """Claim the guest with this UUID for this job until the job is over. Raises Busy.

    A guest without a UUID cannot be told from others.
    """
    try:
        name = str(uuid.UUID(guest))
    except ValueError:
        return
    folder = run.folder.parent.parent / "guests"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    with files.locked(path):
        owner = path.read_text()
        if owner not in ("", run.id) and not _is_over(Store(run.folder.parent), owner):
            raise Busy(
                f"The guest has the UUID {name}, and job {owner} works on it already.",
                hint=f"Follow it with 'xen2kvm follow {owner}'.",
            )
        path.write_text(run.id)
        files.sync(path)


def _is_over(store: Store, job_id: str) -> bool:
    try:
        return store.status(job_id).state.final
    except JobNotFound:
        return True
