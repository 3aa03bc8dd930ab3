# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images, by qemu-img: what they are, overlays over them, new ones.

The format is always said and never guessed: a guest can write any header into its raw disk.
"""

import json
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xen2kvmd.errors import Failed, InvalidDisk, Unsupported
from xen2kvmd.model import Backing
from xen2kvmd.system.command import run
from xen2kvmd.system.image_locks import is_locked

MAGIC = {b"QFI\xfb": "qcow2", b"KDMV": "vmdk", b"conectix": "vpc", b"vhdxfile": "vhdx"}
SERVED = ("raw", "qcow2", "vpc", "vhdx")  # formats that are one file
NAME_OF_BASE = range(8, 20)  # bytes of qcow2's header
CLUSTER = 1 << 16  # bytes of a cluster of qcow2, by default (qemu-img(1))
HEAD = 64  # bytes of a disk that are looked at
SECONDS = 60.0  # for a qemu-img call that moves no data
CHECK = 3600.0  # seconds for reading all of an image's tables
WRITE = 24 * 3600.0  # seconds for writing a whole disk


@dataclass(frozen=True)
class DiskInfo:
    """What qemu-img says of an image: its virtual size in bytes, and the file that it builds on.

    backing is that file's name as the image has it, relative to its own folder or not.
    """

    size: int
    encrypted: bool
    backing: str
    backing_format: str = ""
    data_file: str = ""
    snapshots: tuple[str, ...] = ()  # internal ones, by name


def examine(path: str, image_format: str) -> DiskInfo:
    """Look at a disk image or block device without changing it.

    Raises InvalidDisk if it is missing, no disk, unreadable, empty, an encrypted qcow2 image, or
    plainly of another format than the one said; Unsupported if a part of its data is elsewhere.
    One that the guest has encrypted as a whole (LUKS) is raw as any other.
    """
    return _examine(path, image_format, path=path, head=_head(path))


def examine_served(uri: str, image_format: str, *, path: str, head: bytes) -> DiskInfo:
    """Look at a disk of another host, which is served at `uri`, as examine() does.

    What it builds on is a path of that host: QEMU would open the file of that name here. So an
    image with its data in another file raises Unsupported; for a backing file see chain().
    """
    if image_format not in SERVED:
        raise Unsupported(
            f"The disk {path} of another host is of the format {image_format}.",
            hint=f"Over ssh these are read: {', '.join(SERVED)}. Convert it there, by qemu-img.",
        )
    info = _examine(uri, image_format, path=path, head=head)
    if info.data_file:
        raise Unsupported(
            f"The disk {path} of another host has its data in {info.data_file}, which is not read "
            "over ssh yet.",
            hint="Make one image of it there, by 'qemu-img convert', or mount the storage here and "
            "map it with --path-map.",
        )
    return info


def builds_on(path: str, image_format: str) -> tuple[Backing, ...]:
    """Return the images of this host that a disk builds on, each on the next.

    Raises InvalidDisk and Unsupported as examine() does, the latter also for what has no path.
    """
    argv = ["qemu-img", "info", "--output=json", "-U", "--backing-chain", "-f", image_format, path]
    found = json.loads(run(argv, timeout=SECONDS))[1:]
    images = tuple(Backing(str(one["filename"]), str(one["format"])) for one in found)
    for image in images:
        if not image.path.startswith("/"):
            raise Unsupported(
                f"The disk {path} builds on {image.path}, which is no file or block device.",
                hint="Make one image of it, by 'qemu-img convert'.",
            )
        examine(image.path, image.format)
    return images


def mend(path: str, image_format: str) -> None:
    """Wait until no writer that was killed has an image; give back what it has not used.

    Raises Failed if it does not end, or the image has faults.
    """
    deadline = time.monotonic() + SECONDS
    while is_locked(path):
        if time.monotonic() > deadline:
            raise Failed(f"The disk {path} is in use still: a running QEMU holds its lock.")
        time.sleep(0.1)
    if image_format == "qcow2":
        run(["qemu-img", "check", "-q", "-r", "leaks", "-f", "qcow2", path], timeout=CHECK)


def _examine(location: str, image_format: str, *, path: str, head: bytes) -> DiskInfo:
    """Look at what is at `location`; `path` is what a person calls it."""
    if image_format == "raw":
        for magic, name in MAGIC.items():
            if head.startswith(magic):
                raise InvalidDisk(
                    f"The disk {path} is said to be raw and looks like {name}.",
                    hint=f"If it is {name}, say type='{name}' in its <driver> element.",
                )
    if image_format == "vpc":
        _check_whole(path, head)
    try:
        output = run(
            ["qemu-img", "info", "--output=json", "-U", "-f", image_format, location],
            timeout=SECONDS,
        )
    except Failed as error:
        raise InvalidDisk(
            f"The disk {path} cannot be read as {image_format}: {error.message}",
            hint="Check the type attribute of its <driver> element.",
            said=error.said,
        ) from error
    found = json.loads(output)
    details = found.get("format-specific", {}).get("data", {})
    info = DiskInfo(
        size=int(found["virtual-size"]),
        encrypted=bool(found.get("encrypted")),
        backing=str(found.get("backing-filename", "")),
        backing_format=str(found.get("backing-filename-format", "")),
        data_file=str(details.get("data-file", "")),
        snapshots=tuple(str(each["name"]) for each in found.get("snapshots", ())),
    )
    if info.encrypted:
        raise InvalidDisk(
            f"The disk {path} is an encrypted {image_format} image.",
            hint="Such disks cannot be migrated yet; decrypt it with qemu-img convert first.",
        )
    if info.size == 0:
        raise InvalidDisk(f"The disk {path} is empty.", hint="Is this the right file?")
    return info


def _check_whole(path: str, head: bytes) -> None:
    """Raise Unsupported if a VHD lacks what its parent has: QEMU's vpc would read zeroes there.

    The copy of its footer says so; the footer at the end, QEMU takes of a fixed disk alone.
    """
    if head.startswith(b"conectix") and head[60:64] == b"\0\0\0\4":
        raise Unsupported(
            f"The disk {path} is a differencing VHD: what it does not hold, its parent has.",
            hint="Make one image of its chain with 'vhd-util coalesce'; in XenServer, delete the "
            "snapshots and wait until it has done so, or export the disk.",
        )


def _head(path: str) -> bytes:
    """Return the first bytes of what must be a file or block device."""
    try:
        kind = Path(path).stat().st_mode
    except OSError as error:
        raise InvalidDisk(
            f"The disk {path} cannot be found: {error.strerror}.",
            hint="Put the image there, or correct the <source> of the disk in the domain XML.",
        ) from error
    if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
        what = "a directory" if stat.S_ISDIR(kind) else "neither a file nor a block device"
        raise InvalidDisk(f"The disk {path} is {what}.", hint="Correct the <source> of the disk.")
    try:
        with open(path, "rb") as stream:
            return stream.read(HEAD)
    except OSError as error:
        raise InvalidDisk(f"The disk {path} cannot be read: {error.strerror}.") from error


def size_of(location: str, image_format: str) -> int:
    """Return the virtual size in bytes of a disk that was examined before."""
    argv = ["qemu-img", "info", "--output=json", "-U", "-f", image_format, location]
    return int(json.loads(run(argv, timeout=SECONDS))["virtual-size"])


def data_size(location: str, image_format: str, *, size: int) -> int:
    """Return how many bytes of a disk of `size` hold data, which a sparse copy of it takes.

    What the file takes is something else: its data may be compressed, or in the images under it,
    and a block device takes no room on the file system of its node.
    """
    argv = ["qemu-img", "measure", "--output=json", "-U", "-O", "qcow2", "-f", image_format]
    measured = json.loads(run([*argv, location], timeout=CHECK))
    empty = int(measured["fully-allocated"]) - int(measured["required"])  # whole clusters
    return min(-(-size // CLUSTER) * CLUSTER - empty, size)


def merge(overlay: str) -> None:
    """Write an overlay into the image under it, which no QEMU may use. It can be done again."""
    run(["qemu-img", "commit", "-q", "-d", "-f", "qcow2", overlay], timeout=WRITE)


def make_overlay(path: Path, *, base: str, base_format: str) -> None:
    """Make a qcow2 overlay: it takes all writes, the base is only read."""
    path.unlink(missing_ok=True)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", base_format, str(path)]
    run(argv, timeout=SECONDS)


def chain(images: Sequence[tuple[Path, str]]) -> str:
    """Return what QEMU opens as images that are served at sockets, each over the next.

    images are sockets and formats; no image may name what it builds on, see alone().
    """
    node: dict[str, object] | None = None
    for socket, image_format in reversed(images):
        served = {"driver": "nbd", "server": {"type": "unix", "path": str(socket)}}
        below = {"backing": node} if node else {}
        node = {"driver": image_format, "file": served, **below}
    return f"json:{json.dumps(node)}"


def alone(read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    """Return the reader of a qcow2 image, and leave out the name of what it builds on.

    QEMU would look for a relative one beside the image, and refuse one that is served. The fields
    are backing_file_offset and backing_file_size (QEMU's docs/interop/qcow2.txt).
    """

    def reader(offset: int, count: int) -> bytes:
        data = bytearray(read(offset, count))
        for at in NAME_OF_BASE:
            if 0 <= at - offset < len(data):
                data[at - offset] = 0
        return bytes(data)

    return reader


def make_image(
    path: Path, *, image_format: str, size: int, preallocated: bool, cluster_size: int = 0
) -> None:
    """Make an empty disk image of `size` bytes; a cluster_size of 0 is QEMU's default.

    A VHD would have whole cylinders, and be larger, if its size were not forced.
    """
    options = ["preallocation=falloc"] * preallocated
    options += ["force_size=on"] * (image_format == "vpc")
    if cluster_size:
        options.append(f"cluster_size={cluster_size}")
    given = ["-o", ",".join(options)] if options else []
    run(
        ["qemu-img", "create", "-q", "-f", image_format, *given, str(path), str(size)],
        timeout=SECONDS,
    )
