# SPDX-License-Identifier: GPL-2.0-or-later
"""Each export has a pool of its own; libvirt's test driver keeps them, and mounts nothing."""

import re
from collections.abc import Iterator

import pytest

from xen2kvmd.errors import TargetExists
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.targets import NfsExport

ALIKE = (
    "nas1:/exports/vm",
    "nas1:/exports-vm",
    "nas1:/exports/vm-1",
    "nas1:/exports/vm/1",
    "nas1:/exports/vm_1",
    "nas1.exports:/vm/1",
    "nas1:/Exports/vm",
)


@pytest.fixture
def host() -> Iterator[Host]:
    with connected("test:///default") as opened:
        yield opened


def test_exports_with_names_alike_have_pools_of_their_own(host: Host) -> None:
    names = [NfsExport(host, export).name for export in ALIKE]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"nfs-[A-Za-z0-9-]+", name) for name in names)
    assert names[0] == "nfs-nas1-exports-vm"


def test_export_is_the_same_however_it_ends(host: Host) -> None:
    assert NfsExport(host, "nas1:/vm_1/").name == NfsExport(host, "nas1:/vm_1").name


def test_pool_that_has_the_export_is_found_by_its_source(host: Host) -> None:
    document = NfsExport(host, "nas1:/exports/vm_1").document()
    host.define_pool(re.sub("<name>.*?</name>", "<name>old</name>", document))
    assert NfsExport(host, "nas1:/exports/vm_1").name == "old"
    assert NfsExport(host, "nas1:/exports/vm-1").name != "old"


def test_pool_of_another_export_is_not_taken_for_it(host: Host) -> None:
    document = NfsExport(host, "nas1:/exports/vm").document()
    host.define_pool(document.replace('"nas1"', '"nas2"'))
    with pytest.raises(TargetExists, match="'nfs-nas1-exports-vm' is not of the export nas1:"):
        NfsExport(host, "nas1:/exports/vm")
