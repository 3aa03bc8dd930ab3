# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes to one file system or pool is counted together, whatever names it by."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from xen2kvmd import plan
from xen2kvmd.errors import InsufficientSpace, InvalidOption, Unsupported
from xen2kvmd.model import Allocation, Finding, Operation, Request, Severity, SourceDisk
from xen2kvmd.system import files
from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.targets import Directory, Place, StoragePool, backups, open_places

POOL = "default-pool"
GIB = 1 << 30
SOURCE = (
    "<domain type='xen'><name>web1</name><memory>1024</memory><os><type>xen</type></os></domain>"
)
REQUEST = Request(Operation.PLAN, "libvirtxml:/x", pool=POOL)


@pytest.fixture
def host() -> Iterator[Host]:
    with connected("test:///default") as opened:
        yield opened


def disks_of(allocated: int) -> tuple[SourceDisk, ...]:
    return tuple(
        SourceDisk(dev, f"/{dev}", "raw", allocated, allocated, used=allocated)
        for dev in ("xvda", "xvdb")
    )


def check(
    request: Request, host: Host, disks: tuple[SourceDisk, ...], **places: Place
) -> tuple[Finding, ...]:
    opened = places or open_places(request, host, disks)
    return plan.check_target(plan.Inputs(request, SOURCE, disks=disks, host=host), places=opened)


def test_directories_of_one_file_system_are_counted_together(host: Host, tmp_path: Path) -> None:
    one, other = Directory(str(tmp_path)), Directory(str(tmp_path.parent))
    disks = disks_of(files.free(tmp_path) * 6 // 10)
    check(REQUEST, host, disks[:1], xvda=one)  # each alone has room
    check(REQUEST, host, disks[1:], xvdb=other)
    with pytest.raises(InsufficientSpace, match=r"'xvda' .*, disk 'xvdb' "):
        check(REQUEST, host, disks, xvda=one, xvdb=other)


def test_the_backup_is_counted_with_the_target(host: Host, tmp_path: Path) -> None:
    place, disks = Directory(str(tmp_path)), disks_of(files.free(tmp_path) * 6 // 10)[:1]
    with pytest.raises(InsufficientSpace, match=f"'xvda' .*, the backup in {tmp_path} "):
        check(replace(REQUEST, backup_disks=str(tmp_path)), host, disks, xvda=place)


def test_the_backup_in_a_pool_is_counted_with_the_target(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "connected", lambda: nullcontext(host))
    disks = disks_of(StoragePool(host, POOL).available() * 6 // 10)[:1]
    check(REQUEST, host, disks)
    with pytest.raises(InsufficientSpace, match=f"'xvda' .*, the backup in pool '{POOL}' "):
        check(replace(REQUEST, backup_pool=POOL), host, disks)


def test_a_backup_needs_a_pool_of_files(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "connected", lambda: nullcontext(host))
    host.define_pool(
        "<pool type='logical'><name>vg0</name><source><name>vg0</name></source></pool>"
    )
    host.start_pool("vg0")
    with pytest.raises(Unsupported, match="'logical': its volumes are no files"):
        check(replace(REQUEST, backup_pool="vg0"), host, disks_of(1))
    host.stop_pool("vg0")
    host.undefine_pool("vg0")


def test_a_backup_elsewhere_is_counted_by_itself(host: Host, tmp_path: Path) -> None:
    disks = disks_of(min(files.free(tmp_path), StoragePool(host, POOL).available()) * 6 // 10)[:1]
    check(replace(REQUEST, backup_disks=str(tmp_path)), host, disks)


def test_a_pool_that_is_named_twice_is_counted_once(host: Host) -> None:
    disks = disks_of(StoragePool(host, POOL).available() * 6 // 10)
    check(REQUEST, host, disks[:1])
    with pytest.raises(InsufficientSpace, match=f"on pool '{POOL}'"):
        check(replace(REQUEST, disk_pools=(("xvdb", POOL),)), host, disks)


def test_what_is_no_directory_is_refused_before_its_room(host: Host, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="gone"):
        check(REQUEST, host, disks_of(1)[:1], xvda=Directory(str(tmp_path / "gone")))


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceDisk:
    """A logical volume of 500 GiB, with 20 GiB in its file systems, which do not use 450 GiB."""
    monkeypatch.setattr(files, "free", lambda _folder: 100 * GIB)
    return SourceDisk("xvda", "/dev/vg/a", "raw", 500 * GIB, 500 * GIB, used=20 * GIB)


def test_volume_needs_room_for_what_its_file_systems_use(
    host: Host, tmp_path: Path, volume: SourceDisk
) -> None:
    place, trimmed = Directory(str(tmp_path)), replace(volume, unused=450 * GIB)
    assert check(REQUEST, host, (trimmed,), xvda=place) == ()
    full = replace(volume, used=101 * GIB)
    with pytest.raises(InsufficientSpace, match=r"101\.0 GiB are needed and 100\.0 GiB are free"):
        check(REQUEST, host, (full,), xvda=place)


def test_room_that_may_not_suffice_is_for_a_person_to_decide(
    host: Host, tmp_path: Path, volume: SourceDisk
) -> None:
    (found,) = check(REQUEST, host, (volume,), xvda=Directory(str(tmp_path)))
    assert (found.id, found.severity) == ("room-uncertain", Severity.BLOCKER)
    assert found.message.startswith("Between 20.0 GiB and 500.0 GiB are needed and 100.0 GiB are ")
    assert found.message.endswith(": disk 'xvda' 20.0 GiB to 500.0 GiB.")


def test_what_is_compressed_may_take_less_than_is_used(
    host: Host, tmp_path: Path, volume: SourceDisk
) -> None:
    full = replace(volume, used=101 * GIB)
    request = replace(REQUEST, compress=True)
    (found,) = check(request, host, (full,), xvda=Directory(str(tmp_path)))
    assert "Between 0 B and 500.0 GiB are needed" in found.message


def test_backup_of_a_volume_is_not_trimmed(host: Host, tmp_path: Path, volume: SourceDisk) -> None:
    trimmed = replace(volume, unused=450 * GIB)
    request = replace(REQUEST, backup_disks=str(tmp_path))
    (found,) = check(request, host, (trimmed,), xvda=Directory(str(tmp_path)))
    assert f"the backup in {tmp_path} 20.0 GiB to 500.0 GiB" in found.message


def test_preallocated_disk_takes_its_whole_size(
    host: Host, tmp_path: Path, volume: SourceDisk
) -> None:
    request = replace(REQUEST, allocation=Allocation.PREALLOCATED)
    trimmed = replace(volume, unused=450 * GIB)
    with pytest.raises(InsufficientSpace, match=r"500\.0 GiB are needed"):
        check(request, host, (trimmed,), xvda=Directory(str(tmp_path)))
