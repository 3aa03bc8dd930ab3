# SPDX-License-Identifier: GPL-2.0-or-later
"""A file that somebody uses is not replaced: libvirt's test driver knows users, and QEMU does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.libvirt_test_driver import open_in_a_qemu, own_host
from xen2kvmd.errors import TargetExists, Unsupported
from xen2kvmd.model import Volume
from xen2kvmd.system.disk import make_image
from xen2kvmd.system.libvirt import Host
from xen2kvmd.system.target_files import files_of
from xen2kvmd.targets import check_unused

POOL = "default-pool"


@pytest.fixture
def host() -> Iterator[Host]:
    with own_host() as opened:
        yield opened


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A file that is to be replaced."""
    disk = tmp_path / "web1-vda.qcow2"
    make_image(disk, image_format="qcow2", size=1 << 20, preallocated=False)
    return disk


def check(host: Host, disk: Path) -> None:
    volume = Volume("xvda", str(disk), "qcow2", POOL, disk.name)
    with files_of("") as files:
        check_unused(host, files, [str(disk)], [volume], name="web1")


def define(host: Host, name: str, disks: str) -> None:
    host.define(
        f"<domain type='test'><name>{name}</name><memory>65536</memory><os><type>hvm</type></os>"
        f"<devices>{disks}</devices></domain>"
    )


def on_file(disk: Path) -> str:
    return f"<disk type='file'><source file='{disk}'/><target dev='vda'/></disk>"


def overlay_of(host: Host, disk: Path) -> Path:
    """Let the pool have an overlay over the file."""
    document = (
        "<volume><name>clone.qcow2</name><capacity>1048576</capacity><target>"
        f"<format type='qcow2'/></target><backingStore><path>{disk}</path>"
        "<format type='qcow2'/></backingStore></volume>"
    )
    return Path(host.make_volume(POOL, document))


def test_file_of_the_domain_that_is_to_go_may_go(host: Host, disk: Path) -> None:
    check(host, disk)
    define(host, "web1", on_file(disk))
    check(host, disk)


@pytest.mark.parametrize("name", ["another", "zebra"])
@pytest.mark.parametrize("kind", ["file", "volume"])
def test_file_of_another_domain_is_kept(host: Host, disk: Path, kind: str, name: str) -> None:
    """Though the one that is to go has it, too."""
    source = f"<source pool='{POOL}' volume='{disk.name}'/>"
    volume = f"<disk type='volume'>{source}<target dev='vda'/></disk>"
    define(host, "web1", on_file(disk))
    define(host, name, on_file(disk) if kind == "file" else volume)
    with pytest.raises(TargetExists, match=f"belongs to the domain '{name}'"):
        check(host, disk)


def test_file_that_an_overlay_builds_on_is_kept(host: Host, disk: Path) -> None:
    """The domain of that overlay may not name what is below, or be one of another host."""
    overlay = overlay_of(host, disk)
    with pytest.raises(TargetExists, match=f"The volume {overlay} builds on the file {disk}"):
        check(host, disk)
    define(host, "web1", on_file(overlay))
    check(host, disk)


def test_file_that_a_qemu_has_open_is_kept(host: Host, disk: Path) -> None:
    """No domain of this libvirt has it: it is on storage that another host has, too."""
    with (
        open_in_a_qemu(disk, "qcow2"),
        pytest.raises(TargetExists, match="a QEMU has it open, here or on another host"),
    ):
        check(host, disk)


def test_what_is_no_file_is_not_put_aside(host: Host, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="not a regular file"):
        check(host, tmp_path)
