# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of a real Xen host come here over xen+ssh, from beginning to login prompt."""

import pytest

from tests.migration.sandbox import CHECKOUT, Sandbox
from tests.xen.xenhost import URI, XenHost

pytestmark = [pytest.mark.xen, pytest.mark.xdist_group("xen")]


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
