# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of a real Xen host come here over xen+ssh, from beginning to login prompt."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration import hvm
from tests.migration.conftest import build
from tests.migration.sandbox import CHECKOUT, Sandbox
from tests.xen.xenhost import URI, XenHost

pytestmark = [pytest.mark.xen, pytest.mark.xdist_group("xen")]

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


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("own"), tmp_path_factory.getbasetemp())
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
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


def migrate(sandbox: Sandbox, name: str) -> str:
    ended = sandbox.run("xen2kvm", "migrate", "-c", URI, name, "--network", "default", seconds=3000)
    output = ended.err + ended.out
    assert ended.code == 0, output
    assert "login prompt" in output
    assert sandbox.run("virsh", "destroy", name).code == 0
    return output


def migrate_unchanged(sandbox: Sandbox, host: XenHost, name: str, *disks: str) -> str:
    """Migrate a guest that does not run; see that its disks there are as they were."""
    before = host.shell(f"cksum {' '.join(disks)}")
    output = migrate(sandbox, name)
    assert "[remote-disks]" in output
    assert host.shell(f"cksum {' '.join(disks)}") == before
    assert host.state(name) == "shut off"
    return output


def test_guests_of_the_host_are_listed(sandbox: Sandbox, host: XenHost) -> None:
    listed = {
        guest["name"]: guest for guest in sandbox.json("xen2kvm", "guests", "--json", "-c", URI)
    }
    assert {name: (guest["kind"], guest["state"]) for name, guest in listed.items()} == {
        "web1": ("linux", "shut off"),
        "tiny1": ("linux", "shut off"),
        "tiny2": ("linux", "shut off"),
        "tiny3": ("linux", "shut off"),
        "tiny4": ("hvm", "shut off"),
    }
    (disk,) = listed["tiny1"]["disks"]
    assert (disk["path"], disk["size"]) == ("/dev/vg0/tiny", 1 << 30)


@pytest.mark.parametrize(
    ("name", "disk"),
    [
        ("tiny1", "/dev/vg0/tiny"),
        ("tiny2", "/srv/xen/tiny.qcow2"),
        pytest.param("tiny4", "/srv/xen/tiny.raw", id="hvm"),
    ],
)
def test_volume_qcow2_and_hvm_boot_and_are_unchanged_there(
    sandbox: Sandbox, host: XenHost, name: str, disk: str
) -> None:
    migrate_unchanged(sandbox, host, name, disk)


def test_volumes_of_xen_tools_boot_with_the_kernel_of_dom0(sandbox: Sandbox, host: XenHost) -> None:
    output = migrate_unchanged(sandbox, host, "tiny3", "/dev/vde", "/dev/vdf")
    assert "[volumes-joined]" in output
    assert "[menu-made]" in output


def test_guest_that_runs_is_shut_down_there_and_boots_here(sandbox: Sandbox, host: XenHost) -> None:
    """By the line that the README prints; the names in it are those here."""
    assert (
        f"xen2kvm migrate -c {URI} web1 --network default" in (CHECKOUT / "README.md").read_text()
    )
    host.shell("virsh -c xen:///system start web1")
    (web1,) = (
        guest
        for guest in sandbox.json("xen2kvm", "guests", "--json", "-c", URI)
        if guest["name"] == "web1"
    )
    assert (web1["kind"], web1["state"]) == ("linux", "running")
    migrate(sandbox, "web1")
    assert host.state("web1") == "shut off"
