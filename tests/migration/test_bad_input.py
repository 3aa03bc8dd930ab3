# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot be migrated is refused by its name, with what to do, before anything is changed."""

import subprocess
from pathlib import Path

import pytest

from tests.migration.sandbox import Sandbox

pytestmark = pytest.mark.slow

DOMAIN = """\
<domain type='xen'><name>{name}</name><memory>262144</memory>
<os><type arch='x86_64' machine='xenpv'>linux</type></os>
<devices><disk type='file' device='disk'><driver name='file' type='{format}'/>
<source file='{path}'/><target dev='xvda' bus='xen'/></disk></devices></domain>
"""
BOMB = "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><domain type='xen'>&b;</domain>"
OUTSIDE = "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/shadow'>]><domain type='xen'>&x;</domain>"


def plan(sandbox: Sandbox, file: Path, *options: str) -> tuple[int, str]:
    ended = sandbox.run("xen2kvm", "plan", *options, str(file))
    return ended.code, ended.err + ended.out


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("this is no XML", "no setting of an xl configuration"),
        ("<this is no XML", "is not XML"),
        ("<domain type='xen'>", "is not XML"),
        ("<network/>", "no Xen guest"),
        ("<domain type='kvm'><name>x</name></domain>", "no Xen guest"),
        (BOMB, "DOCTYPE"),
        (OUTSIDE, "DOCTYPE"),
        ("<a>" * 2000, "is not XML"),
        (DOMAIN.format(name="", format="raw", path="/x"), "has no name"),
        (DOMAIN.format(name="a/b", format="raw", path="/x"), "contains '/'"),
        (DOMAIN.format(name="x" * 300, format="raw", path="/x"), "longer than"),
        (DOMAIN.format(name="x", format="raw", path="x.img"), "no absolute path"),
        (DOMAIN.format(name="x", format="raw", path="/nonexistent"), "cannot be found"),
        (DOMAIN.format(name="x", format="raw", path="/etc"), "is a directory"),
        (DOMAIN.format(name="x", format="raw", path="/dev/null"), "neither a file nor a block"),
        (DOMAIN.format(name="x", format="qcow2", path="/etc/passwd"), "cannot be read as qcow2"),
    ],
)
def test_document_is_refused(sandbox: Sandbox, tmp_path: Path, document: str, said: str) -> None:
    file = tmp_path / "guest.xml"
    file.write_text(document)
    code, output = plan(sandbox, file)
    assert code == 1
    assert said in output
    assert "Traceback" not in output


def test_missing_file_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    code, output = plan(sandbox, tmp_path / "none.xml")
    assert code == 1
    assert "No such file" in output


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--pool", "nonsense"], 1, "no storage pool 'nonsense'"),
        (["--pool", "xvda=nonsense"], 1, "no storage pool 'nonsense'"),
        (["--pool", "xvdz=default"], 2, "disk 'xvdz', which the guest has not"),
        (["--name", "a/b"], 1, "a/b"),
        (["--name", "a\nb"], 1, "a"),
        (["--network", "a:b:c=d"], 2, "network-map"),
        (["--directory", "/nonexistent"], 2, "absolute path of a directory"),
        (["--directory", "/tmp", "--pool", "default"], 2, "exclude each other: pool, directory"),
    ],
)
def test_option_is_refused(
    sandbox: Sandbox, tiny: Path, options: list[str], code: int, said: str
) -> None:
    got, output = plan(sandbox, tiny / "guest.xml", *options)
    assert said in output
    assert got == code


def test_target_that_exists_is_refused(sandbox: Sandbox, tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "there.xml"
    other.write_text(
        "<domain type='qemu'><name>there</name><uuid>6d0c5d0e-0a11-4c11-9e0a-0000000000a2</uuid>"
        "<memory>9999</memory><os><type arch='x86_64'>hvm</type></os></domain>"
    )
    assert sandbox.run("virsh", "define", str(other)).code == 0
    assert "has a domain 'there' already" in plan(sandbox, tiny / "guest.xml", "--name", "there")[1]
    assert "with the UUID" in plan(sandbox, tiny / "guest.xml")[1]


def test_too_little_space_is_refused(sandbox: Sandbox, tiny: Path) -> None:
    sandbox.run("mkdir", "-p", "/srv/small")
    sandbox.run("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", "/srv/small")
    try:
        code, output = plan(sandbox, tiny / "guest.xml", "--directory", "/srv/small")
    finally:
        sandbox.run("umount", "/srv/small")
    assert code == 1
    assert "20.0 MiB are free on the file system" in output


def test_disk_of_a_running_qemu_is_refused(sandbox: Sandbox, tiny: Path, tmp_path: Path) -> None:
    """A source that somebody runs here already is not copied."""
    disk = tmp_path / "disk.raw"
    subprocess.run(
        ["cp", "--reflink=auto", "--sparse=always", f"{tiny}/disk.raw", disk], check=True
    )
    file = tmp_path / "guest.xml"
    text = (tiny / "guest.xml").read_text().replace(f"{tiny}/disk.raw", str(disk))
    file.write_text(text)
    argv = ["qemu-system-x86_64", "-S", "-display", "none", "-accel", "tcg", "-net", "none"]
    guest = subprocess.Popen([*argv, "-drive", f"file={disk},format=raw,if=virtio"])
    try:
        ended = sandbox.run("xen2kvm", "migrate", "--network", "default", str(file))
    finally:
        guest.terminate()
        guest.wait()
    assert ended.code == 1
    assert "in use" in ended.out
