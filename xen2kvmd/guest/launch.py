# SPDX-License-Identifier: GPL-2.0-or-later
"""The start of libguestfs' virtual machine with a guest's disks. Nothing else imports guestfs."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import guestfs

from xen2kvmd.errors import Failed
from xen2kvmd.guest.emulation import ARGUMENTS, PROCESSOR
from xen2kvmd.guest.watchdog import Watchdog
from xen2kvmd.model import Joined
from xen2kvmd.system.appliances import children, end_start
from xen2kvmd.words import one_line

# More do not help: a guest's programs are mostly shell scripts. Emulated ones wait for each other.
PROCESSORS, EMULATED = 4, 1
REASONS = frozenset(map(os.strerror, errno.errorcode))
START = 600.0  # seconds; emulated, on a busy machine, a minute was seen


@dataclass(frozen=True)
class DiskImage:
    """A disk of the guest: its <target dev> under Xen, and the image that we may read or write."""

    dev: str
    path: str
    format: str
    joined: tuple[Joined, ...] = ()  # the volumes that it was put together from


def launch(
    disks: Sequence[DiskImage], *, writable: bool, emulate: bool, network: bool, memory: int
) -> Any:
    """Return libguestfs' handle of a virtual machine with these disks on virtio, in this order.

    memory is in MiB. Raises Failed if it does not start, or takes longer than START for it.
    """
    handle = guestfs.GuestFS(python_return_dict=True, close_on_exit=False)
    handle.set_backend("direct")  # libvirt's would need a libvirt that may not be ours
    handle.set_backend_settings(["force_tcg"] if emulate else [])
    handle.set_network(network)
    # The job's TMPDIR would move it too, and the appliance be built anew for each job.
    handle.set_cachedir(os.environ.get("LIBGUESTFS_CACHEDIR", "/var/tmp"))
    handle.set_autosync(True)
    handle.set_pgroup(True)  # Ctrl-C at a terminal is for us, we end it ourselves
    handle.set_memsize(memory)
    handle.set_smp(EMULATED if emulate else min(PROCESSORS, os.cpu_count() or 1))
    if emulate:
        handle.set_append(ARGUMENTS)
        handle.config("-cpu", PROCESSOR)  # QEMU takes the last one
    for disk in disks:
        handle.add_drive_opts(
            disk.path,
            readonly=not writable,
            format=disk.format,
            iface="virtio",
            cachemode="unsafe" if writable else "writeback",
            discard="besteffort" if writable else "disable",
        )
    watchdog = Watchdog(partial(end_start, children()))
    try:
        with watchdog.limit(START, "Its start"):
            handle.launch()
    except (RuntimeError, Failed) as error:
        handle.close()
        raise Failed(
            f"The appliance did not start: {one_line(str(error))}",
            hint="Run libguestfs-test-tool on this host to see why.",
        ) from error
    return handle


def refused(what: str, error: RuntimeError | UnicodeDecodeError) -> Failed:
    """Return the error for what libguestfs did not do.

    The system's reason is for everybody; what else libguestfs says may be the guest's own words.
    """
    said = one_line(str(error).removeprefix("command: "))
    why = said.rpartition(": ")[2]
    return Failed(f"{one_line(what)}{f': {why}' if why in REASONS else ''}.", said=said)
