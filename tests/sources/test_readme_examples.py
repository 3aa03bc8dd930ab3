# SPDX-License-Identifier: GPL-2.0-or-later
"""What the README tells a newcomer to write is what we read."""

import re
import textwrap
from pathlib import Path

from xen2kvmd import domain
from xen2kvmd.cli.arguments import parse
from xen2kvmd.sources import read_document

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_configuration_of_a_guest_of_xcp_ng_is_read() -> None:
    block = README.partition("cat web1.cfg\n")[2].partition("    root@")[0]
    read = read_document("xl", textwrap.dedent(block))
    source = domain.read(read.domain_xml)
    assert (source.name, source.kind, source.vcpus, source.memory) == ("web1", "hvm", 2, 2 << 30)
    (disk,) = source.disks
    assert (disk.dev, disk.path, disk.format) == ("xvda", "/mnt/nfs/web1.img", "raw")
    assert [nic.mac for nic in source.nics] == ["00:16:3e:00:00:01"]


def test_commands_are_taken_as_they_stand() -> None:
    commands = re.findall(r"^    (?:root@kvmhost# )?xen2kvm (.*)$", README, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        parse(command.split())
