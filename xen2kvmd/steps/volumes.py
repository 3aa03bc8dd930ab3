# SPDX-License-Identifier: GPL-2.0-or-later
"""The new disks, opened where they are: on this host, in Ceph, or over ssh on the target's."""

from collections.abc import Iterator
from contextlib import contextmanager

from xen2kvmd.jobs.step import Run
from xen2kvmd.model import Volume
from xen2kvmd.steps import context
from xen2kvmd.system import ceph, far_volume, ssh
from xen2kvmd.system.remotes import own_folder
from xen2kvmd.targets import ssh_address, target_host


@contextmanager
def opened(run: Run, volume: Volume) -> Iterator[tuple[str, str]]:
    """Yield the path, or the URI, and the format by which a disk that we made can be opened."""
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
        far_volume.opened(far, folder, volume.path, volume.format) as uri,
    ):
        yield uri, "raw"
