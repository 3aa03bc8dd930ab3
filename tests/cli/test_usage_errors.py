# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told to who types a wrong word."""

from pathlib import Path

import pytest

from xen2kvmd.cli.arguments import parse
from xen2kvmd.cli.documents import read_document
from xen2kvmd.cli.exits import EX_USAGE
from xen2kvmd.errors import InvalidSource


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("plan x --format vmdk", "choose from 'raw', 'qcow2'"),
        ("plan x --allocation thin", "choose from 'sparse', 'preallocated'"),
        ("plan x --engine v2w", "choose from 'auto', 'native', 'v2v'"),
        ("migrate x --shutdown-mode now", "choose from 'graceful', "),
        ("plan x -i vmx", "choose from 'libvirtxml', 'xl', 'xl-json', 'libvirt'"),
        ("convert-xml x -i vmx", "choose from 'libvirtxml', 'xl', 'xl-json')"),
        ("plan x --mac 52:54:00:00:00:01:network:n", "not keep or new; what virt-v2v calls --mac"),
        ("plan x --mac 52:54:00:00:00:01:network:n", "is here --nic mac:MAC=network:NAME"),
        ("plan x -o local -os /srv", "disks go to a folder with --directory DIR"),
    ],
)
def test_wrong_words_are_told_with_those_that_are_typed(
    line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line.split())
    assert ended.value.code == EX_USAGE
    assert told in (said := capsys.readouterr().err)
    assert "<" not in said  # as repr() shows an enumeration


def test_guest_that_is_no_file_may_be_one_of_a_libvirt(tmp_path: Path) -> None:
    for name in (str(tmp_path / "web1"), "", "/", "a\nb"):
        with pytest.raises(InvalidSource, match="cannot be read") as raised:
            read_document(name)
        assert "-c xen+ssh://root@HOST/system" in raised.value.hint
