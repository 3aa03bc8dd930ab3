# SPDX-License-Identifier: GPL-2.0-or-later
"""The new disks, opened where they are: on this host, in Ceph, or over ssh on the target's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Volume
from xen2kvmd.steps import context
from xen2kvmd.system import ceph, disk, far_volume, ssh, zeroes
from xen2kvmd.system.remotes import own_folder
from xen2kvmd.targets import ssh_address, target_host


def erase(run: Run, volume: Volume) -> None:
    """Fill a new block device with zeroes; a new file reads as zeroes already."""
    if not volume.is_block:
        return
    run.fraction(0.0, f"erasing {volume.path}")
    if address := ssh_address(context.request(run)):
        with ssh.connected(address) as far:
            zeroes.write_zeroes_there(far, volume.path)
    elif Path(volume.path).is_block_device():
        zeroes.write_zeroes(volume.path)


def mend(run: Run, volume: Volume) -> None:
    """Wait for a writer that was killed, and give back what it has taken of a disk that we made."""
    if volume.ceph:
        return
    if address := ssh_address(context.request(run)):
        with ssh.connected(address) as far:
            far_volume.mend(far, volume.path, volume.format)
    else:
        disk.mend(volume.path, volume.format)


@contextmanager
def opened(run: Run, volume: Volume, *, compressed: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the path, or the URI, and the format by which a disk that we made can be opened.

    compressed lets another host compress what is written; on this host, who opens it does that.
    """
    request = context.request(run)
    address = ssh_address(request)
    if volume.ceph:
        with target_host(request) as host:
            key = host.key(volume.ceph)
        with ceph.opened(volume.ceph, volume.name, key) as uri:
            yield uri, "raw"
        return
    if not address:
        yield volume.path, volume.format
        return
    with (
        ssh.connected(address) as far,
        own_folder(run.folder) as folder,
        far_volume.opened(far, folder, volume.path, volume.format, compressed=compressed) as uri,
    ):
        yield uri, "raw"
