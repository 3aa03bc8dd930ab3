# SPDX-License-Identifier: GPL-2.0-or-later
"""Images in Ceph (RBD): where a pool's XML says that they are, and opened for the time of a block.

QEMU's own driver opens them, as it does for the guest later: what it lacks shows before there is a
guest. The user's key is in a file that only root reads, never in arguments.
"""

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from xen2kvmd.errors import Failed, Unsupported
from xen2kvmd.model import CephPool, Monitor
from xen2kvmd.system.command import run
from xen2kvmd.system.qemu_nbd import SOCKET, serving
from xen2kvmd.xml import Element

SECONDS = 10.0  # for QEMU to look at a name
ANSWER = 5.0  # seconds for a monitor


def pool(document: Element) -> CephPool | None:
    """Read the XML of a libvirt pool; None if it is not of the type rbd."""
    source = document.find("source")
    if document.get("type") != "rbd" or source is None:
        return None
    hosts = [(host.get("name", ""), host.get("port")) for host in source.iterfind("host")]
    auth, secret = source.find("auth"), source.find("auth/secret")
    return CephPool(
        name=source.findtext("name") or "",
        monitors=tuple(Monitor(name, port) if port else Monitor(name) for name, port in hosts),
        user="" if auth is None else auth.get("username", ""),
        secret_uuid="" if secret is None else secret.get("uuid", ""),
        secret_usage="" if secret is None else secret.get("usage", ""),
    )


def check_driver() -> None:
    """Raise Unsupported if QEMU has no driver for Ceph: it is a package of its own in most places.

    An image without a pool can be opened by nobody; which reason is told depends on the driver.
    """
    try:
        run(["qemu-img", "info", 'json:{"driver": "rbd"}'], timeout=SECONDS)
    except Failed as error:
        if "Unknown driver" in error.said:
            raise Unsupported(
                "QEMU on this host has no driver for images in Ceph.",
                hint="Install qemu-block-extra (Debian, Ubuntu), or qemu-block-rbd (SUSE, Fedora, "
                "Red Hat).",
            ) from error


def check_reachable(where: CephPool) -> None:
    """Raise Unsupported if this host cannot write the images of another host's pool.

    What it has in its own ceph.conf may be another cluster, so the pool has to name its monitors.
    """
    for monitor in where.monitors:
        there = (monitor.host, int(monitor.port))
        with suppress(OSError), socket.create_connection(there, timeout=ANSWER):
            return
    raise Unsupported(
        f"No monitor of the Ceph pool '{where.name}' answers this host, which has to write there.",
        hint="Let this host into the network of the monitors, which libvirt's pool has to name; or "
        "choose another pool.",
    )


@contextmanager
def opened(where: CephPool, image: str, key: bytes) -> Iterator[str]:
    """Yield the URI at which an image can be read and written, as raw, on this host.

    Raises Failed; what fails in the block names the image.
    """
    with TemporaryDirectory(prefix="xen2kvm-nbd-") as name:
        folder = Path(name)
        words = ["--cache=writeback", "--discard=unmap"]
        if key:
            words += ["--object", f"secret,id=key,format=base64,file={_written(folder, key)}"]
        words.append(_filename(where, image, with_key=bool(key)))
        uri, named = f"nbd+unix:///?socket={folder / SOCKET}", f"{where.name}/{image} in Ceph"
        with serving(folder, words, named=named):
            try:
                yield uri
            except Failed as error:  # of a disk that is a socket here
                told = error.message.replace(uri, named)
                raise Failed(told, hint=error.hint, said=error.said) from error


def _filename(where: CephPool, image: str, *, with_key: bool) -> str:
    """Return the pseudo-filename of an image, which is raw (QEMU's BlockdevOptionsRbd).

    It names both drivers, so that nothing is probed.
    """
    servers = [{"host": monitor.host, "port": monitor.port} for monitor in where.monitors]
    options: dict[str, object] = {"driver": "rbd", "pool": where.name, "image": image}
    options |= {"user": where.user} if where.user else {}
    options |= {"key-secret": "key"} if with_key else {}
    options |= {"server": servers} if servers else {}
    return "json:" + json.dumps({"driver": "raw", "file": options})


def _written(folder: Path, key: bytes) -> Path:
    """Write the key into a file of the folder, which nobody else may enter."""
    path = folder / "key"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(base64.b64encode(key))
    return path
