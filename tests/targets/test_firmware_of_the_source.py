# SPDX-License-Identifier: GPL-2.0-or-later
"""What started the guest under Xen, starts it under KVM."""

from pathlib import Path

import pytest

from xen2kvmd import plan
from xen2kvmd.model import Facts, Firmware, Operation, Request, SourceDisk
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import Directory

DOCUMENT = (
    "<domain type='xen'><name>web1</name><memory>1024</memory><os><type>hvm</type>{}</os>"
    "<devices><disk type='block'><source dev='/dev/vg/web1'/><target dev='xvda'/></disk>"
    "</devices></domain>"
)
OVMF = "<loader type='pflash'>/usr/lib/xen/boot/ovmf.bin</loader>"


@pytest.mark.parametrize(
    ("loader", "found", "firmware"),
    [
        (OVMF, Firmware.BIOS, Firmware.UEFI),  # a cloud image has boot code for both
        ("", Firmware.BIOS, Firmware.BIOS),
        ("", Firmware.UEFI, Firmware.UEFI),
    ],
    ids=["both", "bios", "uefi"],
)
def test_guest_that_ovmf_started_is_one_of_uefi(
    loader: str, found: Firmware, firmware: Firmware, tmp_path: Path
) -> None:
    disk = SourceDisk("xvda", "/dev/vg/web1", "raw", 1 << 20, 1 << 20)
    with connected("test:///default") as host:
        request = Request(Operation.PLAN, "libvirtxml:/x")
        inputs = plan.Inputs(request, DOCUMENT.format(loader), disks=[disk], host=host)
        case = plan.make_case(
            inputs,
            facts=Facts(arch="i686", firmware=found),  # that of libvirt's test driver
            places={"xvda": Directory(str(tmp_path))},
            kvm=False,
            agent=False,
        )

    assert case.facts.firmware is firmware
