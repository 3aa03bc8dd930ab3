# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are no source."""

import json
from pathlib import Path

import pytest

from xen2kvmd.domain import read
from xen2kvmd.errors import InvalidSource
from xen2kvmd.model import Operation, Request
from xen2kvmd.sources import open_source
from xen2kvmd.sources.file import ConfigFile
from xen2kvmd.xml import MAX_BYTES

CFG = """\
name = 'web1'
memory = 512
kernel = '/boot/vmlinuz'
root = '/dev/xvda2 ro'
disk = ['phy:/dev/vg0/web1-disk,xvda2,w']
"""


def test_what_the_caller_read_is_not_read_again() -> None:
    assert ConfigFile("libvirtxml", "/none", given="<domain/>").read().domain_xml == "<domain/>"


def test_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "guest.xml").write_text("<domain/>")
    assert ConfigFile("libvirtxml", str(tmp_path / "guest.xml")).read().domain_xml == "<domain/>"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.xml", "There is no file"),
        ("folder", "There is no file"),
        ("large", "larger than"),
        ("nul\0", "no absolute path|There is no file"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(InvalidSource, match=said):
        ConfigFile("libvirtxml", f"{tmp_path}/{name}").read()


def test_relative_path_is_refused() -> None:
    with pytest.raises(InvalidSource, match="no absolute path"):
        ConfigFile("libvirtxml", "guest.xml").read()


@pytest.mark.parametrize("source", ["", "guest.xml", "vmware://host", "file:///x", "LIBVIRTXML:/x"])
def test_unknown_kind_of_source_is_refused(source: str) -> None:
    with pytest.raises(InvalidSource, match="of no kind"):
        open_source(Request(Operation.PLAN, source))


def test_file_does_not_know_whether_its_guest_runs() -> None:
    assert ConfigFile("libvirtxml", "/x").is_running() is None


def test_configuration_of_xl_becomes_a_domain(tmp_path: Path) -> None:
    (tmp_path / "web1.cfg").write_text(CFG)
    source = open_source(Request(Operation.PLAN, f"xl:{tmp_path}/web1.cfg"))
    domain = read(source.read().domain_xml)
    assert (domain.name, domain.memory) == ("web1", 512 << 20)
    assert [(disk.dev, disk.path) for disk in domain.disks] == [("xvda2", "/dev/vg0/web1-disk")]


def test_guest_is_chosen_from_a_list() -> None:
    listed = json.dumps(
        [
            {"config": {"c_info": {"type": "pv", "name": name}, "b_info": {"max_memkb": 65536}}}
            for name in ("vm1", "vm2")
        ]
    )
    request = Request(Operation.PLAN, "xl-json:/x", vm="vm2", document=listed)
    assert "<name>vm2</name>" in open_source(request).read().domain_xml
