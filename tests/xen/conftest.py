# SPDX-License-Identifier: GPL-2.0-or-later
"""One Xen host for all of these tests: it takes minutes to start."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration import hvm
from tests.migration.conftest import build
from tests.migration.sandbox import Sandbox
from tests.xen.xenhost import XenHost

VOLUMES = """
mkdir -p /srv/xen
dd if=/dev/vdc of=/srv/xen/web1.raw bs=4M conv=sparse status=none
dd if=/dev/vdd of=/srv/xen/tiny.raw bs=4M conv=sparse status=none
qemu-img convert -O qcow2 /dev/vdd /srv/xen/tiny.qcow2
pvcreate -q /dev/vdb
vgcreate -q vg0 /dev/vdb
lvcreate -q -y -Wn -n tiny -L 1G vg0
dd if=/dev/vdd of=/dev/vg0/tiny bs=4M conv=fsync status=none
"""

NIC = """
    <interface type='bridge'>
      <mac address='00:16:3e:2a:01:04'/>
      <source bridge='xenbr0'/>
    </interface>
"""


@pytest.fixture(scope="package")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("own"), tmp_path_factory.getbasetemp())
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="package")
def host(sandbox: Sandbox) -> XenHost:
    """The Xen host with its guests, each kept as another kind of administrator would."""
    web, tiny, volumes = build("debian12-pygrub"), build("tiny"), build("tiny-xentools")
    host = build("xen-host")
    drives = [web / "disk.raw", tiny / "disk.raw", volumes / "swap.raw", volumes / "outside.raw"]
    xen = XenHost(sandbox, host, drives)
    xen.shell(VOLUMES)
    for name in ("vmlinuz-xen", "initrd.img-xen"):
        copied = sandbox.run("scp", "-q", str(volumes / name), f"xenhost:/boot/{name}")
        assert copied.code == 0, copied.err
    xen.define(told(web, {"disk.raw": "/srv/xen/web1.raw"}))
    for number, place in enumerate(("/dev/vg0/tiny", "/srv/xen/tiny.qcow2"), start=1):
        text = told(tiny, {"disk.raw": place}).replace("tiny1", f"tiny{number}")
        xen.define(re.sub("<uuid>.*</uuid>", "", text.replace("2a:00:02", f"2a:01:0{number}")))
    xen.define(told(volumes, {"swap.raw": "/dev/vde", "root.raw": "/dev/vdf"}))
    xen.define(hvm.document("tiny4", "/srv/xen/tiny.raw", memory=256, more=NIC))
    return xen


def told(guest: Path, places: dict[str, str]) -> str:
    """Return a guest's domain XML with its disks where this host has them."""
    text = (guest / "guest.xml").read_text()
    for name, place in places.items():
        text = text.replace(f"<source file='{guest}/{name}'/>", f"<source file='{place}'/>")
    text = re.sub(
        r"<disk type='file'(.*?)<driver name='qemu' type='raw'/>(\s*)<source file='/dev/",
        r"<disk type='block'\1<driver name='phy' type='raw'/>\2<source dev='/dev/",
        text,
        flags=re.DOTALL,
    )
    return re.sub(r"type='raw'/>(\s*<source file='[^']*qcow2')", r"type='qcow2'/>\1", text)
