# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are no source."""

from pathlib import Path

import pytest

from xen2kvmd.errors import InvalidSource
from xen2kvmd.model import Operation, Request
from xen2kvmd.sources import open_source
from xen2kvmd.sources.xml_file import XmlFile
from xen2kvmd.xml import MAX_BYTES


def test_what_the_caller_read_is_not_read_again() -> None:
    assert XmlFile("/nonexistent", given="<domain/>").document() == "<domain/>"


def test_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "guest.xml").write_text("<domain/>")
    assert XmlFile(str(tmp_path / "guest.xml")).document() == "<domain/>"


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
        XmlFile(f"{tmp_path}/{name}").document()


def test_relative_path_is_refused() -> None:
    with pytest.raises(InvalidSource, match="no absolute path"):
        XmlFile("guest.xml").document()


@pytest.mark.parametrize("source", ["", "guest.xml", "vmware://host", "file:///x", "LIBVIRTXML:/x"])
def test_unknown_kind_of_source_is_refused(source: str) -> None:
    with pytest.raises(InvalidSource, match="of no kind"):
        open_source(Request(Operation.PLAN, source))


def test_file_cannot_be_shut_down_and_says_so() -> None:
    assert XmlFile("/x").shut_down().id == "source-not-shut-down"
