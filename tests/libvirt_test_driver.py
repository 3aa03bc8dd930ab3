# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's test driver, which keeps domains and pools in this process, and disks of a QEMU."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xen2kvmd.system.libvirt import Host, connected

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
    socket = disk.with_name("socket")
    argv = ["qemu-nbd", "-f", image_format, "-k", str(socket), str(disk)]
    with subprocess.Popen(argv) as guest:
        while not socket.exists():
            time.sleep(0.02)
        try:
            yield
        finally:
            guest.terminate()
