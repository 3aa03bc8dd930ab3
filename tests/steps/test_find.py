# SPDX-License-Identifier: GPL-2.0-or-later
"""Who copies or stops a guest has it alone; who only looks at it does not care."""

from pathlib import Path

import cattrs
import pytest

from xen2kvmd.errors import Busy, InvalidDisk, Unsupported
from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.jobs.store import JobRecord, Store
from xen2kvmd.model import Operation, Request
from xen2kvmd.steps.find import find

GUEST = """<domain type='xen'><name>{name}</name><memory>65536</memory>
<uuid>6ba7b810-9dad-11d1-80b4-00c04fd430c8</uuid><os><type>hvm</type></os>
<devices><disk type='file'><source file='/no/such/disk'/><target dev='xvda'/></disk></devices>
</domain>"""


def look(folder: Path, operation: Operation, name: str, *, guest: str = GUEST) -> None:
    """Look for the disks of a guest, which are not there."""
    store = Store(folder / "jobs")
    store.create(JobRecord(name, operation, name, "libvirtxml:/x", "", 0, 7, {}))
    journal = Journal(store.path(name) / "journal")
    sender = Sender(folder / "events", name)
    request = Request(operation, f"libvirtxml:/{name}", document=guest.format(name=name))
    run = Run(
        name,
        store.path(name),
        cattrs.unstructure(request),
        journal,
        sender,
        cancelled=lambda: False,
    )
    try:
        find(run, request)
    finally:
        journal.close()
        sender.close()


def test_guest_is_not_copied_by_two_jobs_under_two_names(tmp_path: Path) -> None:
    with pytest.raises(InvalidDisk):
        look(tmp_path, Operation.MIGRATE, "web1")  # it is not over yet
    for operation, error in (
        (Operation.MIGRATE, Busy),
        (Operation.BACKUP, Busy),
        (Operation.PLAN, InvalidDisk),
        (Operation.INSPECT, InvalidDisk),
    ):
        with pytest.raises(error):
            look(tmp_path, operation, f"other-{operation}")


def test_guest_without_disks_is_told(tmp_path: Path) -> None:
    media = GUEST.replace("<disk type='file'>", "<disk type='file' device='cdrom'>")
    with pytest.raises(Unsupported, match="'web1' has no disk of its own"):
        look(tmp_path, Operation.PLAN, "web1", guest=media)
