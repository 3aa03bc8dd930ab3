# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct kernel boot is refused where there is nothing to start, or no place for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from xen2kvmd import plan
from xen2kvmd.errors import InsufficientSpace, InvalidOption
from xen2kvmd.model import BootFile, Engine, Operation, Request, SourceDisk
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import connected
from xen2kvmd.targets import Directory

KERNEL = "<kernel>/boot/vmlinuz-xen</kernel>"
REQUEST = Request(Operation.PLAN, "libvirtxml:/x", direct_kernel_boot=True)


def check(request: Request, folder: Path, kernel: str = KERNEL, *found: BootFile) -> None:
    document = (
        "<domain type='xen'><name>web1</name><memory>1024</memory>"
        f"<os><type>linux</type>{kernel}</os></domain>"
    )
    with connected("test:///default") as host:
        disks = [SourceDisk("xvda", "/xvda", "raw", 1, 1)]
        inputs = plan.Inputs(request, document, disks=disks, host=host, boot_files=found)
        plan.check_target(inputs, places={"xvda": Directory(str(folder))})


def test_guest_without_a_kernel_of_the_host_is_refused(tmp_path: Path) -> None:
    check(REQUEST, tmp_path)
    with pytest.raises(InvalidOption, match="names no kernel"):
        check(REQUEST, tmp_path, kernel="")
    check(replace(REQUEST, direct_kernel_boot=False), tmp_path, kernel="")


def test_what_is_not_copied_or_not_converted_by_us_is_refused(tmp_path: Path) -> None:
    for request in (replace(REQUEST, in_place=True), replace(REQUEST, engine=Engine.V2V)):
        with pytest.raises(InvalidOption, match="in place, or by virt-v2v"):
            check(request, tmp_path)


def test_kernel_and_initrd_take_room_beside_the_first_disk(tmp_path: Path) -> None:
    initrd = BootFile("initrd", "/boot/initrd-xen", files.free(tmp_path) + (1 << 30), "")
    with pytest.raises(InsufficientSpace, match="initrd /boot/initrd-xen"):
        check(REQUEST, tmp_path, KERNEL, initrd)
