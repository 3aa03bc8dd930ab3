# SPDX-License-Identifier: GPL-2.0-or-later
"""What virt-v2v is given and says; recorded from virt-v2v 2.2.0 on a Debian 12."""

import sys
from pathlib import Path

import pytest

from xen2kvmd.errors import Failed, InsufficientSpace, InvalidOption, MigrationError, Unsupported
from xen2kvmd.model import Facts, Family, Kernel
from xen2kvmd.steps import v2v_document, v2v_words
from xen2kvmd.steps.v2v_words import Message
from xen2kvmd.system.supervised import supervise
from xen2kvmd.xml import parse

RECORDED = Path(__file__).parent / "v2v"
GIB = 1 << 30


def test_its_messages_are_read_and_a_torn_line_waits() -> None:
    data = (RECORDED / "messages.jsonl").read_bytes()
    found = tuple(v2v_words.messages(data))
    assert [message.text for message in found if message.type == "warning"] == [
        "could not determine a way to update the configuration of Grub2"
    ]
    assert len(tuple(v2v_words.messages(data[:-5]))) == len(found) - 1


def test_phases_go_forward_only() -> None:
    found = v2v_words.messages((RECORDED / "messages.jsonl").read_bytes())
    shares = [v2v_words.share(message.text) for message in found]
    known = [share for share in shares if share is not None]
    assert known == sorted(known)
    assert len(known) == 8


def test_the_bar_of_nbdcopy_becomes_bytes() -> None:
    lines = (RECORDED / "bar.txt").read_text().splitlines()
    found = [value for value in map(v2v_words.percent, lines) if value is not None]
    assert found == sorted(found)
    assert found[-1] == 100
    copied = v2v_words.copied("Copying disk 2/2", 50, [GIB, 4 * GIB])
    assert copied == (3 * GIB, 5 * GIB)
    assert v2v_words.copied("Opening the source", 50, [GIB]) is None


def test_a_bar_is_told_while_it_is_drawn() -> None:
    program = r"import sys; sys.stderr.write('\r 10% [*-]\r 20% [**]\n')"
    lines: list[str] = []
    supervise(
        [sys.executable, "-c", program], stdin=b"", environment={}, timeout=30,
        stopped=lambda: False, tell=lines.append,
    )  # fmt: skip
    assert [v2v_words.percent(line) for line in lines if line] == [10, 20]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("inspection could not detect the source guest (or physical machine).", Unsupported),
        ("not enough free space for conversion on filesystem '/'.", InsufficientSpace),
        ("filesystem was mounted read-only, even though we asked for read-write.", Unsupported),
        ("multi-boot operating systems are not supported by virt-v2v.", InvalidOption),
        ("One of rhsrvany.exe or pvvxsvc.exe is missing in /usr/share/virt-tools.", Unsupported),
        ("something new", Failed),
    ],
)  # fmt: skip
def test_its_errors_become_ours_with_a_hint(said: str, error: type[MigrationError]) -> None:
    found = v2v_words.failure([Message("error", said)], [], 1)
    assert type(found) is error
    assert (found.message, found.said) == ("virt-v2v failed.", said)  # it may be the guest's words
    assert found.hint


def test_what_it_prints_is_shown_where_it_has_no_message() -> None:
    assert "Killed / sorry" in v2v_words.failure([], ["Killed", "sorry"], -9).said


def test_it_is_given_kib_formats_and_names_without_a_gap() -> None:
    text = v2v_document.given(["/s/xvda.qcow2", "/s/xvde.qcow2"], ["00:16:3e:00:00:01", ""],
                              memory=2 * GIB, vcpus=2)  # fmt: skip
    root = parse(text)
    assert root.findtext("memory") == "2097152"
    assert root.xpath("//target/@dev") == ["xvda", "xvdb"]
    assert root.xpath("//disk/@device") == ["disk", "disk"]
    assert root.xpath("//driver/@type") == ["qcow2", "qcow2"]
    assert len(root.xpath("//interface")) == 2


def test_what_it_made_of_the_guest_is_read_from_its_xml() -> None:
    outcome = v2v_document.written((RECORDED / "guest.xml").read_text())
    assert outcome == v2v_document.Outcome(("virtio",), ("virtio",))
    assert v2v_document.output_name(1) == "guest-sdb"


def test_windows_has_virtio_only_if_drivers_are_installed() -> None:
    assert not Facts(family=Family.WINDOWS).virtio
    assert Facts(family=Family.WINDOWS, drivers=True).virtio
    assert not Facts(kernels=(Kernel("5", "/v", virtio=False),)).virtio
