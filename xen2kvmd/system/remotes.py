# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks of other hosts that a job reads, each served here by NBD.

Block devices of this host, "", are served likewise: of those, too, nothing shows who writes.
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from xen2kvmd.errors import MigrationError
from xen2kvmd.model import Backing, SourceDisk
from xen2kvmd.system import assembly, local_disk
from xen2kvmd.system.block_disk import CACHE, BlockDisk
from xen2kvmd.system.disk import alone, chain, make_overlay
from xen2kvmd.system.lanes import Work, done_in_lanes
from xen2kvmd.system.measure import Progress
from xen2kvmd.system.nbd_server import Read, serving
from xen2kvmd.system.remote_disk import AHEAD, opened
from xen2kvmd.system.ssh import Connection, connected


class Remotes:
    """The hosts and disks that are open. A disk has the same URI each time: overlays name it."""

    def __init__(self, folder: Path, *, live: bool = False) -> None:
        """Keep sockets in this folder, which is made: its path must be short (unix(7): 108).

        live says that the disks' guest runs, and may write to them.
        """
        self._folder, self._live = folder, live
        self._open = ExitStack()
        self._hosts: dict[str, Connection] = {}
        self._disks: dict[tuple[str, str], BlockDisk] = {}
        self._uris: dict[str, str] = {}
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        folder.mkdir(mode=0o700)
        self._open.callback(shutil.rmtree, folder, ignore_errors=True)

    def disk(self, host: str, path: str) -> BlockDisk:
        """Return a disk, which is opened the first time. Raises InvalidDisk and ssh's errors."""
        if (host, path) not in self._disks:
            self._disks[host, path] = (
                self._open.enter_context(
                    opened(self._host(host), path, folder=self._folder, live=self._live)
                )
                if host
                else self._open.enter_context(local_disk.opened(path, live=self._live))
            )
            for opened_disk in self._disks.values():  # a guest with many takes no more memory
                opened_disk.kept = max(CACHE // len(self._disks), 2 * AHEAD)
        return self._disks[host, path]

    def _host(self, host: str) -> Connection:
        if host not in self._hosts:
            self._hosts[host] = self._open.enter_context(connected(host))
        return self._hosts[host]

    def uri(self, host: str, path: str) -> str:
        """Return where a disk is served."""
        disk = self.disk(host, path)
        return self._served(host + path, disk.size.size, disk.read)

    def chained(self, disk: SourceDisk) -> str:
        """Return an image here that shows a disk which builds on other images of its host."""
        top = self._folder / f"{_short(disk.host + disk.path)}.qcow2"
        if not top.exists():
            images = (Backing(disk.path, disk.format), *disk.backing)
            served = [(self._alone(disk.host, image), image.format) for image in images]
            make_overlay(top, base=chain(served), base_format=disk.format)
        return str(top)

    def _alone(self, host: str, image: Backing) -> Path:
        """Return the socket of one image of a chain."""
        disk = self.disk(host, image.path)
        read = alone(disk.read) if image.format == "qcow2" else disk.read
        name = f"alone {host}{image.path}"
        self._served(name, disk.size.size, read)
        return self._socket(name)

    def joined(self, disk: SourceDisk) -> str:
        """Return where a disk is served that is put together from volumes of its host."""
        read = assembly.reader(disk, lambda path: self.disk(disk.host, path).read)
        return self._served("\n".join((disk.host, *disk.paths)), disk.size, read)

    def failure(self) -> MigrationError | None:
        """Return what first went wrong with a disk."""
        return next((disk.failure for disk in self._disks.values() if disk.failure), None)

    def verify(self, progress: Progress) -> None:
        """See that all that was read is still what the disks hold. Raises VmRunning."""
        works = [
            Work(host + path, host + path if host else "", 0, partial(_verified, disk))
            for (host, path), disk in self._disks.items()
        ]
        with closing(done_in_lanes(works, progress)) as verified:
            deque(verified, maxlen=0)

    def close(self) -> None:
        """End all programs, there and here."""
        self._disks.clear()
        self._uris.clear()
        self._open.close()

    def _served(self, name: str, size: int, read: Read) -> str:
        if name not in self._uris:
            served = serving(self._socket(name), size, read)
            self._uris[name] = self._open.enter_context(served)
        return self._uris[name]

    def _socket(self, name: str) -> Path:
        return self._folder / _short(name)


@contextmanager
def own_folder(job: Path) -> Iterator[Path]:
    """Make a folder for sockets to the target's host; a job that is killed leaves it to sweep()."""
    above = folder_of(job)
    above.mkdir(mode=0o700, exist_ok=True)
    try:
        with TemporaryDirectory(dir=above) as folder:
            yield Path(folder)
    finally:
        with suppress(OSError):  # the sources' sockets are there, too
            above.rmdir()


def sweep(job: Path) -> None:
    """Remove what a process that was killed has left; its programs ended with it."""
    for folder in (folder_of(job), logins_of(job)):
        shutil.rmtree(folder, ignore_errors=True)


def logins_of(job: Path) -> Path:
    """Return the folder for the sockets of a job's logins."""
    return folder_of(job).with_suffix(".ssh")


def folder_of(job: Path) -> Path:
    """Return the folder for a job's sockets."""
    return Path("/run") / f"xen2kvm-{_short(str(job))}"


def _verified(disk: BlockDisk, progress: Progress) -> str:
    disk.verify(progress)
    return "verified"


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
