# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest as its Xen host has it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A volume of the source that becomes a partition; start and size are bytes on the new disk."""

    dev: str  # its own <target dev>: xvda2
    path: str
    number: int
    start: int
    size: int
    swap: bool = False


@dataclass(frozen=True)
class Joined:
    """A volume `dev` of the source, and the disk whose partition it becomes."""

    dev: str
    disk: str
    number: int


@dataclass(frozen=True)
class Backing:
    """An image that another one builds on."""

    path: str
    format: str


@dataclass(frozen=True)
class SourceDisk:
    """A disk as the source has it, or one that is put together from volumes without a table.

    dev is its <target dev> ("xvda"), size its virtual size, allocated how much of it may be data:
    all of a block device, which does not tell. host is the other host that has it, as
    ssh://USER@HOST:PORT, or "" for this one. A disk that is put together has parts, and no path of
    its own. backing are the images that it builds on, each on the next; snapshots the names of
    those that are in its own. used is what its file systems use, unused what they do not, and give
    back before the copy; both are 0 where nobody has looked.
    """

    dev: str
    path: str
    format: str
    size: int
    allocated: int
    host: str = ""
    parts: tuple[Part, ...] = ()
    backing: tuple[Backing, ...] = ()
    snapshots: tuple[str, ...] = ()
    used: int = 0
    unused: int = 0

    @property
    def least(self) -> int:
        """Return how many bytes a sparse copy takes at least: what its file systems use."""
        return min(self.allocated, self.used)

    @property
    def most(self) -> int:
        """Return how many it takes at most: old data may be where no file system is."""
        return max(self.least, min(self.allocated, self.size - self.unused))

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the path of each file or block device behind this disk."""
        own = (self.path, *(image.path for image in self.backing))
        return tuple(part.path for part in self.parts) or own

    @property
    def joined(self) -> tuple[Joined, ...]:
        return tuple(Joined(part.dev, self.dev, part.number) for part in self.parts)


@dataclass(frozen=True)
class ListedDisk:
    """A disk in a list of guests; size is 0 where neither libvirt nor its host tells."""

    dev: str
    path: str
    format: str
    size: int


@dataclass(frozen=True)
class ListedGuest:
    """A guest of a host, as libvirt knows it: nobody has looked into it.

    trouble is why its domain XML could not be read, "" where it could.
    """

    name: str
    uuid: str
    state: str  # libvirt's word: running, paused, shut off, ...
    kind: str = ""  # linux (PV), xenpvh, hvm
    os: str = ""  # as libosinfo calls it, where that was noted: debian12
    memory: int = 0
    vcpus: int = 0
    disks: tuple[ListedDisk, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Nic:
    """A network interface of the source: the order in the domain XML is the order in the guest."""

    mac: str
    kind: str  # the interface's type: bridge, network, ...
    source: str  # name of the bridge or network


@dataclass(frozen=True)
class BootFile:
    """A kernel or an initrd of the Xen host, with which libvirt starts the new guest directly.

    element is its element of the domain XML's <os>, path where the Xen host has it; version is a
    kernel's, "" where it is not known.
    """

    element: str
    path: str
    size: int  # bytes
    digest: str
    version: str = ""
