# SPDX-License-Identifier: GPL-2.0-or-later
"""A paravirtualised Debian 12 is converted in one launch, and then boots and has its network."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.guest.built import guest_folder, overlay, sha256
from tests.guest.machine import booted
from xen2kvmd import guest
from xen2kvmd.guest.appliance import Appliance
from xen2kvmd.guest.launch import DiskImage
from xen2kvmd.model import Case, Facts, Family, Nic

MAC = "00:16:3e:2a:00:01"
log = logging.getLogger(__name__)


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    log.info("%s: %.1f s", what, time.monotonic() - start)


def convert(disk: Path) -> Facts:
    """Do all that a migration does inside the guest."""
    image = DiskImage("xvda", str(disk), "qcow2")
    with timed("launch"):
        appliance = Appliance.open([image], writable=True, emulate=True)
    with appliance:
        with timed("inspect"):
            facts = guest.inspect(appliance)
        case = Case(facts=facts, nics=(Nic(MAC, "bridge", "xenbr0"),), devices=(("xvda", "vda"),))
        with timed("rehearse"):
            rehearsed = guest.rehearse(appliance, case)
        assert [found.id for found in rehearsed.findings] == ["xen-module-listed", "xen-setting"]
        with timed("apply"):
            guest.apply(appliance, rehearsed.operations)
        with timed("check"):
            assert guest.check(appliance, case) == ()
        again = guest.rehearse(appliance, case)
        assert not [change for change in again.changes if change.place.startswith("/")]
        with timed("trim"):
            guest.trim(appliance)
    return facts


@pytest.mark.slow
@pytest.mark.guest
def test_guest_boots_on_kvm_with_its_console_and_network(tmp_path: Path) -> None:
    source = guest_folder("debian12-pygrub") / "disk.raw"
    before = sha256(source)
    disk = overlay(source, tmp_path)

    facts = convert(disk)

    assert (facts.family, facts.hostname, facts.root) == (Family.DEBIAN, "web1", "/dev/xvda1")
    assert not facts.boot_code
    assert not facts.kernels[0].initrd_virtio
    with booted(tmp_path, disk, mac=MAC) as console:
        with timed("boot"):
            console.login("xen2kvm", seconds=300)
        assert "inet 10.0.2.15/24" in console.run("ip -4 address show eth0")
        assert "/dev/vda1" in console.run("findmnt -n -o SOURCE /")
        assert "console=ttyS0" in console.run("cat /proc/cmdline")
        assert "hvc0" not in console.run("systemctl list-units --no-pager '*getty*'")
    assert sha256(source) == before
