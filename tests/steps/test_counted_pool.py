# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration tells the queue which pool has the folder that it writes to."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cattrs
import pytest

from xen2kvmd.jobs.events import Sender
from xen2kvmd.jobs.journal import Journal
from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Request
from xen2kvmd.steps.inspect import tell_pool
from xen2kvmd.system.libvirt import Host, connected


@pytest.fixture
def host() -> Iterator[Host]:
    """A host with a pool for a folder, and one for an export, which do not run."""
    with connected("test:///default") as opened:
        opened.define_pool(
            "<pool type='dir'><name>fast</name><target><path>/srv/kvm</path></target></pool>"
        )
        opened.define_pool(
            "<pool type='netfs'><name>nas</name><source><host name='nas1'/><dir path='/vm'/>"
            "</source><target><path>/srv/nas</path></target></pool>"
        )
        yield opened
        opened.undefine_pool("fast")
        opened.undefine_pool("nas")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"directory": "/srv/kvm/"}, [("/srv/kvm", "fast")]),
        (
            {"directory": "/srv/kvm", "target": "qemu+ssh://root@kvm2:22/system"},
            [("kvm2 /srv/kvm", "kvm2 fast")],
        ),
        ({"directory": "/srv/other"}, []),
        ({"pool": "fast"}, []),
        ({"nfs_export": "nas1:/vm"}, [("nfs-nas1-vm", "nas")]),
        ({"nfs_export": "nas1:/other"}, []),
    ],
    ids=["here", "on another host", "in no pool", "a pool", "an export", "one without a pool"],
)
def test_pool_of_a_folder_is_told(
    host: Host, tmp_path: Path, asked: dict[str, str], told: list[tuple[str, str]]
) -> None:
    spec = {"operation": "migrate", "source": "xen:///system", "vm": "web1", **asked}
    journal, sender = Journal(tmp_path / "journal"), Sender(tmp_path / "socket", "1")
    with closing(journal), closing(sender):
        request = cattrs.structure(spec, Request)
        run = Run("1", tmp_path, spec, journal, sender, cancelled=lambda: False)
        tell_pool(run, request, host)
        found = [event for event in journal.events if event["type"] == "placed"]
    assert [(event["asked"], event["pool"]) for event in found] == told
