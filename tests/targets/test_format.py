# SPDX-License-Identifier: GPL-2.0-or-later
"""What the format of the new disks cannot be is refused in the plan."""

from dataclasses import replace
from pathlib import Path

import pytest

from xen2kvmd import plan
from xen2kvmd.errors import InvalidOption
from xen2kvmd.model import Allocation, Operation, Request, SourceDisk
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import Directory

DOCUMENT = (
    "<domain type='xen'><name>web1</name><memory>1024</memory><os><type>xen</type></os></domain>"
)
COMPRESSED = Request(Operation.PLAN, "libvirtxml:/x", compress=True)


def check(request: Request, folder: Path) -> None:
    with connected("test:///default") as host:
        disks = [SourceDisk("xvda", "/xvda", "raw", 1 << 20, 1 << 20)]
        inputs = plan.Inputs(request, DOCUMENT, disks=disks, host=host)
        plan.check_target(inputs, places={"xvda": Directory(str(folder))})


def test_preallocated_disk_is_not_compressed(tmp_path: Path) -> None:
    """QEMU answers a compressed write to a cluster that has its place with an I/O error."""
    check(COMPRESSED, tmp_path)
    with pytest.raises(InvalidOption, match="preallocated disk is not compressed"):
        check(replace(COMPRESSED, allocation=Allocation.PREALLOCATED), tmp_path)
