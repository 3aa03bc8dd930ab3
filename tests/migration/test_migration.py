# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole migrations, from the outside: the client's sentence, the guest's own word for it."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox

pytestmark = pytest.mark.guest

JOBS = "/var/lib/xen2kvmd/jobs"
XL_CFG = """\
name = "tiny1"
memory = 256
bootloader = "pygrub"
disk = ["{folder}/disk.raw,raw,xvda,rw"]
vif = ["mac=00:16:3e:2a:00:02,bridge=xenbr0"]
"""


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shell(sandbox: Sandbox, domain: str, *commands: str) -> str:
    """Log in over the serial console and return what the commands print."""
    program = (Path(__file__).parent / "console.py").read_text()
    ended = sandbox.python(program, domain, *commands)
    assert ended.code == 0, ended.err
    return ended.out


def test_debian_with_pygrub_boots_and_answers(sandbox: Sandbox, debian: Path) -> None:
    """The sentence that a user types, on the guest that virt-v2v leaves hanging in the BIOS."""
    before = sha256(debian / "disk.raw")
    ended = sandbox.run(
        *"xen2kvm migrate --pool default --network default --format qcow2".split(),
        *("--name", "web1-kvm", str(debian / "guest.xml")),
        seconds=900,
    )
    assert ended.code == 0, ended.err + ended.out
    assert "login prompt" in ended.out
    assert sha256(debian / "disk.raw") == before
    said = shell(
        sandbox,
        "web1-kvm",
        "ip -4 -br address show eth0",
        "findmnt -no SOURCE,TARGET /",
        "cat /proc/cmdline",
        "systemctl --failed --no-legend --plain",
    )
    assert re.search(r"eth0\s+UP\s+192\.168\.122\.\d+/24", said)
    assert re.search(r"/dev/vda1\s+/\s", said)
    assert "console=ttyS0" in said
    assert "hvc0" not in said
    assert "xvd" not in said
    leases = sandbox.run("virsh", "net-dhcp-leases", "default").out
    assert "00:16:3e:2a:00:01" in leases


def test_migration_leaves_its_evidence(sandbox: Sandbox, tiny: Path) -> None:
    before = sha256(tiny / "disk.raw")
    lines = sandbox.run(
        "xen2kvm", "migrate", "--json", "--network", "default", str(tiny / "guest.xml")
    )
    states = [json.loads(line) for line in lines.out.splitlines()]
    end = states[-1]
    assert (lines.code, end["State"]) == (0, "succeeded"), lines
    shown = [state["Progress"] for state in states]
    assert shown == sorted(shown)
    assert any(0 < state["BytesDone"] <= state["BytesTotal"] for state in states)
    assert sha256(tiny / "disk.raw") == before
    job = f"{JOBS}/{end['Id']}"
    files = sandbox.run("ls", job).out.split()
    assert {"plan.json", "report.json", "source.xml", "target.xml", "console.log"} < set(files)
    assert "screenshot.png" in files
    assert "scratch" not in files
    assert "tiny1 login:" in sandbox.run("cat", f"{job}/console.log").out
    assert sandbox.run("cat", end["Result"]["backup"]).out == (tiny / "guest.xml").read_text()
    report = sandbox.json("xen2kvm", "report", "--json", end["Id"])
    assert {step["outcome"] for step in report["steps"]} == {"done"}
    assert report["results"]["digest-vda"].startswith("xxh3:")
    text = sandbox.run("xen2kvm", "report", end["Id"]).out
    assert "migrate of tiny1: succeeded" in text
    assert "virsh start -- tiny1" in text
    page = sandbox.run("xen2kvm", "report", end["Id"], "--format", "html").out
    assert "tiny1 login:" in page
    assert "data:image/png;base64," in page
    assert "eth0" in shell(sandbox, "tiny1", "ip address show eth0; mount; uname -r")
    again = sandbox.run("xen2kvm", "migrate", str(tiny / "guest.xml"))
    assert again.code == 1
    assert "has a domain 'tiny1' already" in again.out


def test_two_disks_with_a_gap_boot_from_gpt(sandbox: Sandbox, tiny_disks: Path) -> None:
    """They become vda and vdb, in the guest's files too; the BIOS boot partition is filled."""
    ended = sandbox.run("xen2kvm", "migrate", "--network", "default", str(tiny_disks / "guest.xml"))
    assert ended.code == 0, ended.err + ended.out
    commands = ("cat /proc/mounts /proc/swaps /proc/cmdline", "cat /data/file")
    said = shell(sandbox, "tiny2", *commands, "ip -4 address show eth0")
    assert "/dev/vda2 / ext4 rw" in said
    assert "/dev/vdb1 /data ext4 rw" in said
    assert re.search(r"^/dev/vdb2\s+partition", said, re.MULTILINE)
    assert "from the second disk" in said
    assert "root=/dev/vda2" in said
    assert "inet 192.168.122." in said


def test_xl_configuration_to_raw_in_a_directory(
    sandbox: Sandbox, tiny: Path, tmp_path: Path
) -> None:
    config = tmp_path / "tiny1.cfg"
    config.write_text(XL_CFG.format(folder=tiny))
    sandbox.run("mkdir", "-p", "/srv/kvm")
    ended = sandbox.run(
        *"xen2kvm migrate --directory /srv/kvm --network default --format raw".split(),
        *"--allocation preallocated --name raw1 --mac new".split(),
        str(config),
    )
    assert ended.code == 0, ended.err + ended.out
    assert int(sandbox.run("stat", "-c", "%b", "/srv/kvm/raw1-vda.img").out) * 512 >= 1 << 30
    xml = sandbox.run("virsh", "dumpxml", "raw1").out
    assert "00:16:3e:2a:00:02" not in xml
    assert "<source file='/srv/kvm/raw1-vda.img'" in xml
    sandbox.run("virsh", "destroy", "raw1")
    sandbox.run("rm", "-r", "/srv/kvm")


def test_plan_changes_nothing_and_its_digest_holds(sandbox: Sandbox, tiny: Path) -> None:
    before = sandbox.run("virsh", "vol-list", "default").out
    plan = sandbox.json("xen2kvm", "plan", "--json", "--network", "default", f"{tiny}/guest.xml")
    again = sandbox.json("xen2kvm", "plan", "--json", "--network", "default", f"{tiny}/guest.xml")
    assert plan["digest"] == again["digest"]
    assert sandbox.run("virsh", "vol-list", "default").out == before
    assert sandbox.run("virsh", "list", "--all", "--name").out.strip() == ""
    text = sandbox.run("xen2kvm", "plan", "--network", "default", f"{tiny}/guest.xml").out
    for said in ("Tiny Linux 1", "-/dev/xvda1 / ext4", "+/dev/vda1 / ext4", "15.2.4.2 (8)"):
        assert said in text
    other = sandbox.run(
        *("xen2kvm", "migrate", "--network", "default", "--name", "other"),
        *("--digest", plan["digest"], f"{tiny}/guest.xml"),
    )
    assert other.code == 3
    assert "since the plan" in other.out


def test_blocker_stops_unless_waived(sandbox: Sandbox, tiny: Path) -> None:
    plan = sandbox.run("xen2kvm", "plan", f"{tiny}/guest.xml")
    assert plan.code == 3
    assert "[bridge-missing]" in plan.out
    stopped = sandbox.run("xen2kvm", "migrate", f"{tiny}/guest.xml")
    assert stopped.code == 3
    assert "bridge 'xenbr0'" in stopped.out
    pool = "pool-create-as second dir --target /srv/second --build"
    assert sandbox.run("virsh", *pool.split()).code == 0
    waived = sandbox.run(
        *("xen2kvm", "migrate", "--waive", "bridge-missing", "--no-start"),
        *("--pool", "xvda=second", f"{tiny}/guest.xml"),
    )
    assert waived.code == 0, waived.err + waived.out
    assert sandbox.run("ls", "/srv/second").out.split() == ["tiny1-vda.qcow2"]
    sandbox.run("virsh", "pool-destroy", "second")
    sandbox.run("rm", "-r", "/srv/second")
    assert sandbox.run("virsh", "domstate", "tiny1").out.strip() == "shut off"
