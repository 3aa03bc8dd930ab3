# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's test driver, which keeps domains and pools in this process, and disks of a QEMU."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nbd

from xen2kvmd.system.libvirt import Host, connected
from xen2kvmd.system.qemu_nbd import SOCKET, serving

URI = "test:///default"


@contextmanager
def own_host() -> Iterator[Host]:
    """Connect to it; what was defined there in the block is gone afterwards."""
    with connected(URI) as opened:
        yield opened
        for domain in opened.domains():
            if domain.name != "test":
                domain.destroy()
                domain.undefine(nvram=False)


@contextmanager
def open_in_a_qemu(disk: Path, image_format: str) -> Iterator[None]:
    """Have a QEMU write to a disk, of which no libvirt knows."""
    with (
        TemporaryDirectory() as folder,
        serving(Path(folder), [f"--format={image_format}", str(disk)], named=str(disk)),
    ):
        # A signal that ends it is lost until it serves, and that is after its file is there.
        nbd.NBD().connect_unix(str(Path(folder) / SOCKET))
        yield
