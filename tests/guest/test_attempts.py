# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of the guest that fails does not end the conversion where there is another way."""

from pathlib import Path

import pytest

from tests.guest.built import partitioned
from xen2kvmd.guest import apply
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.boot_code import build
from xen2kvmd.guest.operations import Attempt
from xen2kvmd.guest.partitions import has_boot_code, read_table
from xen2kvmd.model import BootArea, Finding, Severity
from xen2kvmd.system import host_grub

pytestmark = pytest.mark.slow

AREA = BootArea(
    table="msdos",
    sector=1,
    room=1 << 20,
    filesystem="ext4",
    device="(,msdos1)",
    prefix="/boot/grub",
    folder="/boot/grub",
)
FAILING = Finding("host-grub-installed", "GRUB of this host takes its place.", Severity.WARNING)


def test_boot_code_takes_the_place_of_an_installer_that_fails(tmp_path: Path) -> None:
    image = partitioned(tmp_path / "disk.raw", "2048,,83\n")
    modules = next(path for path in host_grub.MODULES if path.exists())
    tool = next(path for path in host_grub.TOOLS if path.exists())
    code = build("xvda", AREA, modules=modules, tool=tool)
    with Appliance.open([image], writable=True, emulate=True) as appliance:
        appliance.call("mkfs", "ext4", "/dev/vda1")
        appliance.call("mount", "/dev/vda1", "/")

        (found,) = apply(appliance, [Attempt(("/sbin/grub-install", "/dev/vda"), FAILING, code)])

        assert found.message.startswith("/sbin/grub-install /dev/vda failed in the guest")
        assert found.message.endswith(f". {FAILING.message}")
        assert found.said  # libguestfs' own words, for who may read the report
        assert appliance.is_file("/boot/grub/i386-pc/normal.mod")

        def read(sector: int, count: int) -> bytes:
            return appliance.read_bytes("/dev/vda", offset=sector * 512, size=count * 512)

        assert has_boot_code(read, read_table(read))
